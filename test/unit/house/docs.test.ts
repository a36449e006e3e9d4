// Proves that the tables in README.md and docs agree with the code.
import { existsSync } from "node:fs";
import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import { AccessService } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { policy } from "../../../gen/userlock/v3alpha/options_pb.ts";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { SettingsService } from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { SETTINGS } from "../../../src/config.ts";
import { PERMISSIONS, ROLES } from "../../../src/domain/access.ts";
import { REASONS } from "../../../src/domain/errors.ts";
import { DEFAULT_POLICY } from "../../../src/domain/lockout.ts";
import { MAX_ITEMS } from "../../../src/rpc/check-request.ts";
import { maxBytesOf, maxJsonBytesOf } from "../../../src/transport/http/body.ts";
import { LIMITS } from "../../../src/transport/limits.ts";
import { MAX_VALUES } from "../../../src/transport/values.ts";
import { DOCUMENTATION, rows } from "../../support/docs.ts";

describe("a table of the documentation agrees with the code", () => {
  test("for all settings with their defaults", () => {
    const expected = Object.entries(SETTINGS).map(([name, setting]) => [
      `\`${name}\``,
      "default" in setting ? `\`${setting.default}\`` : "",
      setting.description,
    ]);
    expect(rows("Settings").slice(1)).toEqual(expected);
  });

  test("for all roles with their permissions", () => {
    const expected = Object.entries(ROLES).map(([name, { scope, permissions }]) => [
      name,
      scope === "either" ? "instance or organization" : scope,
      permissions.length === PERMISSIONS.length ? "all" : permissions.join(", "),
    ]);
    expect(rows("Who may do what").slice(1)).toEqual(expected);
  });

  test("for all methods with their routes and permissions", () => {
    const services = [UserService, SessionService, SettingsService, AccessService, EventService];
    const expected = services.flatMap((service) =>
      service.methods.map((method) => {
        const { pattern } = getOption(method, http);
        const path = String(pattern.value).replace("/resources/v3alpha", "");
        const route = pattern.case ? `${pattern.case.toUpperCase()} ${path}` : "POST /oauth/v2/introspect";
        const { permission, proofInRequest, ownSession } = getOption(method, policy);
        const name = method.methodKind === "unary" ? method.name : `${method.name}, a stream`;
        return [name, route, permission, proofInRequest || ownSession];
      }),
    );
    const written = rows("Methods").filter(([name]) => name !== "method");
    expect(
      written.map(([name, route, permission]) => {
        const [first, ...more] = (permission as string).split(", or ");
        return [name, /`([^`]+)`/.exec(route as string)?.[1], first, more.length > 0];
      }),
    ).toEqual(expected);
  });

  test("for the defaults of the lockout policy", () => {
    const minutes = (micros: number) =>
      micros % 3_600_000_000 === 0 ? `${micros / 3_600_000_000} h` : `${micros / 60_000_000} min`;
    const { maxAttempts, window, lockDuration, maxLockDuration, knownDevicesPass, revealLock } = DEFAULT_POLICY;
    const written = rows("Automatic locks").filter(([field]) => field !== "field");
    expect(written.map(([field, value]) => [field, value])).toEqual([
      ["`maxAttempts`", String(maxAttempts)],
      ["`window`", minutes(window)],
      ["`lockDuration`", minutes(lockDuration)],
      ["`maxLockDuration`", minutes(maxLockDuration)],
      ["`knownDevicesPass`", String(knownDevicesPass)],
      ["`revealLock`", String(revealLock)],
    ]);
  });

  test("for all error reasons with their codes", () => {
    const written = rows("Errors").flatMap(([code, , reasons]) =>
      (reasons?.match(/\b[A-Z]+(_[A-Z]+)+\b|\bCANCELLED\b/g) ?? []).map((reason) => [reason, code]),
    );
    const expected = Object.entries(REASONS).map(([reason, kind]) => [reason, kind.toUpperCase()]);
    expect(Object.fromEntries(written)).toEqual(Object.fromEntries(expected));
    for (const [code] of rows("Errors").slice(1)) expect(Object.keys(Code)).toContain(code);
  });

  test("for all limits", () => {
    const limits = Object.fromEntries(rows("Limits").map(([what, limit]) => [what, limit]));
    const counts = (...numbers: number[]) => numbers.map((number) => number.toLocaleString("en")).join("; ");
    const mebibytes = (...numbers: number[]) => numbers.map((bytes) => `${bytes / 2 ** 20} MiB`).join("; ");
    const kibibytes = (method: DescMethod) => maxBytesOf(method) / 1024;
    expect(limits).toMatchObject({
      "a message, compressed or not": `${kibibytes(UserService.method.lockUser)} KiB`,
      "a message to BatchLockUsers or BatchUnlockUsers": `${kibibytes(UserService.method.batchLockUsers) / 1024} MiB`,
      "such a message in compressed JSON, once it is JSON again": mebibytes(
        maxJsonBytesOf(UserService.method.batchLockUsers),
      ),
      "values of a request, with what they are made of": MAX_VALUES.toLocaleString("en"),
      "values in the lists of a request, all together": MAX_ITEMS.toLocaleString("en"),
      "headers of a request": `${LIMITS.headerBytes / 1024} KiB`,
      "open streams on an HTTP/2 connection": String(LIMITS.streams),
      connections: LIMITS.connections.toLocaleString("en"),
      "connections from one address (`USERLOCK_CONNECTIONS_PER_ADDRESS`)":
        LIMITS.connectionsPerAddress.toLocaleString("en"),
      "first bytes, TLS handshake": `${LIMITS.handshakeMs / 1000} s`,
      "headers of an HTTP/1.1 request": `${LIMITS.headersMs / 1000} s`,
      "body of a request": `${LIMITS.bodyMs / 1000} s`,
      "idle HTTP/1.1 connection": `${LIMITS.keepAliveMs / 1000} s`,
      "HTTP/2 connection without an open stream": `${LIMITS.sessionIdleMs / 1000} s`,
      "who watch events at once; of them one caller": counts(LIMITS.watchers, LIMITS.watchersPerCaller),
      "streams of health and reflection at once; from one address": counts(
        LIMITS.openStreams,
        LIMITS.openStreamsPerAddress,
      ),
      "a stream of reflection on which nothing is asked": `${LIMITS.reflectionIdleMs / 1000} s`,
      "requests of callers with a token that are on their way; of one caller": mebibytes(
        LIMITS.bodyBytes,
        LIMITS.bodyBytesPerCaller,
      ),
      "requests without a token that are on their way; from one address": mebibytes(
        LIMITS.openBodyBytes,
        LIMITS.openBodyBytesPerAddress,
      ),
      "unread of a stream of events; taking nothing of it": `${(LIMITS.watcherBytes / 1024).toLocaleString("en")} KiB; ${LIMITS.watcherStallMs / 1000} s`,
      "unread of all streams of events; one with more than is left for it reads on in the log": mebibytes(
        LIMITS.watchersBytes,
      ),
      "a stream of events without a message": `${LIMITS.heartbeatMs / 1000} s`,
      "an answer, or the end of a stream, that its client does not read": `${LIMITS.streamEndMs / 1000} s`,
    });
    expect(DOCUMENTATION).toContain(`A call takes ${LIMITS.callMs / 1000} s at most`);
    expect(DOCUMENTATION).toContain(`lets calls finish for up to ${LIMITS.drainMs / 1000} s`);
  });
});

test("every file and folder that the documentation names exists", () => {
  const named = [...DOCUMENTATION.matchAll(/`((?:src|test|proto|gen|bench)(?:\/[\w.*-]+)*)`/g)].map(
    ([, path]) => path as string,
  );
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((path) => !path.includes("*") && !existsSync(path))).toEqual([]);
});

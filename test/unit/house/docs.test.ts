// Proves that the tables in README.md and docs agree with the code.
import { existsSync } from "node:fs";
import { getOption } from "@bufbuild/protobuf";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import { AccessService } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { policy } from "../../../gen/userlock/v3alpha/options_pb.ts";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { SettingsService } from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { REASONS } from "../../../src/domain/errors.ts";
import { DEFAULT_POLICY } from "../../../src/domain/lockout.ts";
import { DOCUMENTATION, rows } from "../../support/docs.ts";

describe("a table of the documentation agrees with the code", () => {
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
});

test("every file and folder that the documentation names exists", () => {
  const named = [...DOCUMENTATION.matchAll(/`((?:src|test|proto|gen|bench)(?:\/[\w.*-]+)*)`/g)].map(
    ([, path]) => path as string,
  );
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((path) => !path.includes("*") && !existsSync(path))).toEqual([]);
});

// Proves that hostile text in headers, paths and JSON takes no more than linear time.
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenOf } from "../../../src/rpc/gateways.ts";
import { acceptsGzip } from "../../../src/transport/http/encoding.ts";
import { noSuchField } from "../../../src/transport/json-problems.ts";
import { addressesOf, nearestAddress } from "../../../src/transport/rest/addresses.ts";
import { routesOf } from "../../../src/transport/rest/routes.ts";

const MANY = 100_000;
/** Quadratic work on so many characters takes seconds. */
const MAX_MS = 300;

const addresses = addressesOf(UserService.methods.flatMap(routesOf), UserService.methods);
const input = UserService.method.batchLockUsers.input;

function caught(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return error;
  }
}

test.each<[what: string, run: () => unknown]>([
  ["spaces within an accepted coding", () => acceptsGzip(`a${" ".repeat(MANY)}b`)],
  ["semicolons within an accepted coding", () => acceptsGzip(`a${";".repeat(MANY)}b`)],
  ["many accepted codings", () => acceptsGzip("a;q=0.1,".repeat(2_000))],
  ["slashes within a path", () => nearestAddress(addresses, "GET", `/a${"/".repeat(MANY)}a`)],
  ["slashes at the end of a path", () => nearestAddress(addresses, "GET", `/a${"/".repeat(MANY)}`)],
  ["a long segment of a path", () => nearestAddress(addresses, "GET", `/resources/v3alpha/${"a".repeat(MANY)}`)],
  ["spaces within a token", () => caught(() => tokenOf({ authorization: `Bearer a${" ".repeat(MANY)}b` }, undefined))],
  ["spaces within a cookie", () => caught(() => tokenOf({ cookies: `a="${" ".repeat(MANY)}b` }, "a"))],
  ["many cookies", () => tokenOf({ cookies: "a=b;".repeat(MANY) }, "c")],
  ["a long name that grows in lower case", () => noSuchField(input, "İ".repeat(20 * MANY))],
  ["a long name of many words", () => noSuchField(input, "_a".repeat(20 * MANY))],
])("%s: the answer takes no more than linear time", (_what, run) => {
  const start = performance.now();
  run();
  expect(performance.now() - start).toBeLessThan(MAX_MS);
});

test.each([
  ["gzip", true],
  ["GZIP ; Q=0.5", true],
  ["gzip;q=0", false],
  ["gzip;q=2", false],
  ["gzip;level=9", false],
  ["identity, gzip;q=0.5", false],
  ["*", true],
  ["br", false],
])("the accepted codings %p have gzip, and prefer it: %p", (accepted, isGzip) => {
  expect(acceptsGzip(accepted)).toBe(isGzip);
});

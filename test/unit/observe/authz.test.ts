// Proves that a check for a gateway without a verdict counts as unavailable only if the server is at fault.
import { Authorization } from "../../../gen/envoy/service/auth/v3/external_auth_pb.ts";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import { AuthzService } from "../../../gen/userlock/v3alpha/authz_service_pb.ts";
import { createMetrics } from "../../../src/observe/metrics.ts";
import { NAMES } from "../../../src/observe/names.ts";
import type { RpcError } from "../../../src/rpc/errors.ts";
import type { ObservedCall } from "../../../src/rpc/observer.ts";

let metrics: ReturnType<typeof createMetrics>;
beforeEach(() => {
  metrics = createMetrics({ version: "1.2.3", store: "memory" }, () => 0);
});
afterEach(() => metrics.close());

/** The series that count after the end of a call. */
async function countedAfter(call: Partial<ObservedCall>): Promise<string[]> {
  const whole = { system: "http", started: 0, ...call } as ObservedCall;
  for (const observer of metrics.observers.calls) {
    observer.began(whole);
    observer.ended(whole);
  }
  const { text } = await metrics.show();
  return [...text.matchAll(/^userlock_authz_total\{door="(\w+)",outcome="(\w+)"\} 1$/gm)].map(
    ([, door, outcome]) => `${door} ${outcome}`,
  );
}

const SUBREQUEST = { method: AuthzService.method.authorize, route: "/authz" };
const failed = (code: Code) => ({ error: { code } as RpcError });
const AT_FAULT = ["UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNAVAILABLE"];

test.each([...NAMES].filter(([code]) => code !== Code.OK && code !== Code.CANCELLED))(
  "a gateway's own error %i (%s) is never a verdict about a user",
  async (code, name) => {
    const outcome = AT_FAULT.includes(name) ? "unavailable" : "invalid";
    expect(await countedAfter({ method: Authorization.method.check, ...failed(code) })).toEqual([`envoy ${outcome}`]);
  },
);

test("a subrequest without the gateway's token is not a user who is denied", async () => {
  expect(await countedAfter({ ...SUBREQUEST, ...failed(Code.PERMISSION_DENIED) })).toEqual(["http invalid"]);
});

test("a cancelled check does not count, because nobody was turned away", async () => {
  expect(await countedAfter({ ...SUBREQUEST, ...failed(Code.CANCELLED) })).toEqual([]);
});

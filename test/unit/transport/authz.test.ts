// Proves that observers know a check of /authz also if it is refused before the pipeline is asked.
import { AuthzService } from "../../../gen/userlock/v3alpha/authz_service_pb.ts";
import { toRpcError } from "../../../src/rpc/errors.ts";
import type { ObservedCall } from "../../../src/rpc/observer.ts";
import type { Call, Pipeline } from "../../../src/rpc/pipeline.ts";
import type { Exchange } from "../../../src/transport/http/exchange.ts";
import { createAuthzDoor } from "../../../src/transport/rest/authz.ts";

const pipeline: Partial<Pipeline> = {
  admit: () => Promise.reject(new Error("The pipeline was asked.")),
  explain: (error) => toRpcError(error, "request-id"),
};
const door = createAuthzDoor(
  pipeline as Pipeline,
  { authzMs: 900 },
  { gatewayToken: "a-secret-of-the-gateway", loginOrigins: [] },
);

function ask(path: string, verb: string, headers: Record<string, string>) {
  const observed: Partial<ObservedCall> = {};
  const call = { requestId: "request-id", observed } as Call;
  const answer = door({ verb, headers } as unknown as Exchange, { path, query: "unknown=1", href: "" }, call);
  return { observed, answer };
}

test.each<[what: string, headers: Record<string, string>, status: number]>([
  ["without the gateway's token", {}, 403],
  ["with a wrong query", { "x-userlock-gateway": "a-secret-of-the-gateway" }, 400],
])("a check %s counts for Authorize, with its path", async (_what, headers, status) => {
  const { observed, answer } = ask("/authz", "GET", headers);
  expect(await answer).toMatchObject({ status });
  expect(observed).toEqual({ method: AuthzService.method.authorize, route: "/authz" });
});

test("TRACE is no check, and other paths are left to other doors", async () => {
  const { observed, answer } = ask("/authz", "TRACE", {});
  expect([(await answer)?.status, observed]).toEqual([405, {}]);
  expect(ask("/authz/", "GET", {})).toEqual({ observed: {}, answer: undefined });
});

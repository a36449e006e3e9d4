import type { DescMethod } from "@bufbuild/protobuf";
import { Code } from "../../gen/google/rpc/code_pb.ts";
import type { Principal } from "../domain/access.ts";
import type { CallObserver, CallSystem } from "../rpc/observer.ts";
import type { Meters } from "./meters.ts";
import { fullNameOf, NAMES, OTHER } from "./names.ts";
import type { Observers } from "./observers.ts";

/** Of OpenTelemetry's semantic conventions for `rpc.server.call.duration`, seconds. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

/** The outcomes of a refused token, by reason. */
const REFUSED = new Map([
  ["TOKEN_MISSING", "missing"],
  ["TOKEN_INVALID", "invalid"],
  ["TOKEN_EXPIRED", "expired"],
  ["KEYS_UNAVAILABLE", "keys_unavailable"],
]);

/** Metrics of calls and of their tokens. */
export function observeCalls(meters: Meters): Required<Pick<Observers, "calls" | "onKeys">> {
  const duration = meters.histogram({
    name: "rpc_server_call_duration_seconds",
    help: "time of a call, from its arrival to its written answer; of a stream, to its end",
    labels: ["rpc_system_name", "rpc_method", "rpc_status_code"],
    buckets: BUCKETS,
  });
  const active: Record<CallSystem, number> = { grpc: 0, connectrpc: 0, http: 0 };
  meters.gauge({
    name: "rpc_server_active_calls",
    help: "requests without a complete answer, streams among them",
    labels: ["rpc_system_name"],
    read: () => Object.entries(active).map(([system, count]) => [count, system]),
  });
  const tokenChecks = meters.counter({
    name: "userlock_token_checks_total",
    help: "checks of callers' tokens; of a refused token the kind is unknown",
    labels: ["kind", "outcome"],
    series: [...REFUSED.values()].map((outcome) => ["unknown", outcome]),
  });

  const fetches = meters.counter({
    name: "userlock_jwks_fetches_total",
    help: "fetches of the keys of the JWTs' issuer",
    labels: ["outcome"],
    series: [["ok"], ["failed"]],
  });
  const valid = {
    token: tokenChecks.labels("token", "ok"),
    jwt: tokenChecks.labels("jwt", "ok"),
    session: tokenChecks.labels("session", "ok"),
  };
  /** The cells of a method's durations, by protocol and code. */
  const durations = new Map<DescMethod | undefined, Map<string, Map<Code, ReturnType<typeof duration.labels>>>>();

  function durationOf(system: CallSystem, method: DescMethod | undefined, code: Code) {
    const bySystem = getOr(durations, method, () => new Map());
    const byCode = getOr(bySystem, system, () => new Map());
    return getOr(byCode, code, () => {
      const name = method ? fullNameOf(method) : OTHER;
      return duration.labels(system, name, NAMES.get(code) as string);
    });
  }

  const observer: CallObserver = {
    began({ system }) {
      active[system]++;
    },
    ended({ system, started, method, principal, error }) {
      active[system]--;
      if (!method && !error) return;
      const code = error?.code ?? Code.OK;
      durationOf(system, method, code).observe((performance.now() - started) / 1_000);
      if (principal) valid[kindOf(principal)].inc();
      else if (error) {
        const outcome = REFUSED.get(error.reason ?? "");
        if (outcome) tokenChecks.labels("unknown", outcome).inc();
      }
    },
  };
  return { calls: [observer], onKeys: (isFetched) => fetches.labels(isFetched ? "ok" : "failed").inc() };
}

function kindOf({ session, tokenId }: Principal): "token" | "jwt" | "session" {
  if (session) return "session";
  return tokenId === undefined ? "jwt" : "token";
}

function getOr<Key, Value>(map: Map<Key, Value>, key: Key, create: () => Value): Value {
  let found = map.get(key);
  if (found === undefined) {
    found = create();
    map.set(key, found);
  }
  return found;
}

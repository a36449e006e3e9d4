import type { DescMethod } from "@bufbuild/protobuf";
import { Authorization, type CheckResponse } from "../../gen/envoy/service/auth/v3/external_auth_pb.ts";
import { Code } from "../../gen/google/rpc/code_pb.ts";
import { AuthzService } from "../../gen/userlock/v3alpha/authz_service_pb.ts";
import type { CallObserver, ObservedCall } from "../rpc/observer.ts";
import type { Meters } from "./meters.ts";

type Door = "http" | "envoy" | "method";
type Outcome = "allowed" | "refused" | "denied" | "unavailable" | "invalid";

const DOORS: readonly Door[] = ["http", "envoy", "method"];
const OUTCOMES: readonly Outcome[] = ["allowed", "refused", "denied", "unavailable", "invalid"];
/** The path of the check by subrequest. The method itself has another one over REST. */
const SUBREQUEST = "/authz";
/** The server's faults, and its overload. */
const UNAVAILABLE: readonly number[] = [
  Code.UNKNOWN,
  Code.DEADLINE_EXCEEDED,
  Code.RESOURCE_EXHAUSTED,
  Code.INTERNAL,
  Code.UNAVAILABLE,
];

/** The metric of checks of single requests, for gateways. */
export function observeAuthz(meters: Meters): CallObserver {
  const checks = meters.counter({
    name: "userlock_authz_total",
    help: "checks of requests for gateways, by `/authz` (http), Envoy's Check (envoy) and Authorize (method); cancelled ones do not count",
    labels: ["door", "outcome"],
    series: DOORS.flatMap((door) => OUTCOMES.map((outcome) => [door, outcome])),
  });
  return {
    began() {},
    ended(call) {
      const door = doorOf(call.method, call.route);
      const outcome = door && outcomeOf(call, door);
      if (outcome) checks.labels(door, outcome).inc();
    },
  };
}

function doorOf(method: DescMethod | undefined, route: string | undefined): Door | undefined {
  if (method === Authorization.method.check) return "envoy";
  if (method !== AuthzService.method.authorize) return undefined;
  return route === SUBREQUEST ? "http" : "method";
}

function outcomeOf({ error, principal, response }: ObservedCall, door: Door): Outcome | undefined {
  const isEnvoy = door === "envoy";
  // Envoy's own call succeeds when the user is refused.
  const code = error?.code ?? ((isEnvoy && (response as CheckResponse | undefined)?.status?.code) || Code.OK);
  // Of the gateway's own token, not of the user's: without a principal, that of /authz was missing.
  const isOfGateway = isEnvoy ? error !== undefined : code === Code.PERMISSION_DENIED && !principal;
  switch (code) {
    case Code.OK:
      return "allowed";
    case Code.CANCELLED:
      return undefined;
    case Code.UNAUTHENTICATED:
      return isOfGateway ? "invalid" : "refused";
    case Code.PERMISSION_DENIED:
      return isOfGateway ? "invalid" : "denied";
    default:
      return UNAVAILABLE.includes(code) ? "unavailable" : "invalid";
  }
}

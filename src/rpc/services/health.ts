import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type HealthCheckRequest,
  HealthCheckResponse_ServingStatus,
  type HealthCheckResponseSchema,
  type HealthListResponseSchema,
} from "../../../gen/grpc/health/v1/health_pb.ts";
import { DomainError } from "../../domain/errors.ts";

/** How often the status is looked at while anybody watches it, milliseconds. */
const WATCH_MS = 500;

type CheckResponse = MessageInitShape<typeof HealthCheckResponseSchema>;

/**
 * The health service of gRPC (https://github.com/grpc/grpc/blob/master/doc/health-checking.md), for the server as a
 * whole (the empty name) and for each of its services. Anybody may call it: balancers carry no token.
 */
export interface Health {
  /** Rejects with NOT_FOUND for a service that is not there. */
  check(request: HealthCheckRequest): Promise<CheckResponse>;
  /** The status of the server as a whole, and of each service. */
  list(): Promise<MessageInitShape<typeof HealthListResponseSchema>>;
  /** The status at once, then each change; ends with SHUTTING_DOWN when the server stops. */
  watch(request: HealthCheckRequest, gone: AbortSignal): AsyncGenerator<CheckResponse>;
}

export function createHealth(parts: {
  isReady: () => Promise<boolean>;
  services: readonly string[];
  /** Aborted, with the error to tell, when the server stops. */
  stopping: AbortSignal;
}): Health {
  const { isReady, services, stopping } = parts;
  const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = HealthCheckResponse_ServingStatus;
  const changeOf = createChanges(() => statusOf(""), stopping);

  async function statusOf(service: string): Promise<HealthCheckResponse_ServingStatus> {
    if (service !== "" && !services.includes(service)) return SERVICE_UNKNOWN;
    return (await isReady()) ? SERVING : NOT_SERVING;
  }

  return {
    async check({ service }) {
      const status = await statusOf(service);
      if (status === SERVICE_UNKNOWN) {
        const metadata = { service: service.slice(0, 200).toWellFormed() };
        throw new DomainError("SERVICE_NOT_FOUND", `There is no service ${service}.`, { metadata });
      }
      return { status };
    },
    async list() {
      const status = await statusOf("");
      return { statuses: Object.fromEntries(["", ...services].map((service) => [service, { status }])) };
    },
    async *watch({ service }, gone) {
      let told: HealthCheckResponse_ServingStatus | undefined;
      while (!gone.aborted && !stopping.aborted) {
        const status = await statusOf(service);
        if (status !== told) yield { status };
        told = status;
        await changeOf(status, gone);
      }
      if (!stopping.aborted) return;
      if (told !== NOT_SERVING && told !== SERVICE_UNKNOWN) yield { status: NOT_SERVING };
      throw stopping.reason;
    },
  };
}

/**
 * Reads the status once for all watchers. Resolves when it differs from the last one sent, when the watcher leaves, or
 * when the server stops.
 */
function createChanges(look: () => Promise<HealthCheckResponse_ServingStatus>, stopping: AbortSignal) {
  const waiting = new Map<() => void, HealthCheckResponse_ServingStatus>();
  let clock: NodeJS.Timeout | undefined;

  async function onTick(): Promise<void> {
    const status = await look();
    for (const [wake, told] of waiting) {
      if (told !== status && told !== HealthCheckResponse_ServingStatus.SERVICE_UNKNOWN) wake();
    }
  }

  stopping.addEventListener("abort", () => {
    for (const wake of waiting.keys()) wake();
  });

  return (told: HealthCheckResponse_ServingStatus, gone: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const wake = () => {
        waiting.delete(wake);
        gone.removeEventListener("abort", wake);
        if (waiting.size === 0) {
          clearInterval(clock);
          clock = undefined;
        }
        resolve();
      };
      waiting.set(wake, told);
      gone.addEventListener("abort", wake);
      clock ??= setInterval(onTick, WATCH_MS);
      if (gone.aborted || stopping.aborted) wake();
    });
}

import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type HealthCheckRequest,
  HealthCheckResponse_ServingStatus,
  type HealthCheckResponseSchema,
  type HealthListResponseSchema,
} from "../../../gen/grpc/health/v1/health_pb.ts";
import { DomainError } from "../../domain/errors.ts";

/** How often each watcher checks the status, milliseconds. Watchers share the checks of the store. */
const WATCH_MS = 500;

type CheckResponse = MessageInitShape<typeof HealthCheckResponseSchema>;

export type Health = ReturnType<typeof createHealth>;

/**
 * The health service of gRPC (https://github.com/grpc/grpc/blob/master/doc/health-checking.md), for the server as a
 * whole (the empty name) and for each service. It needs no token, because load balancers have none.
 */
export function createHealth(parts: {
  isReady: () => Promise<boolean>;
  services: readonly string[];
  /** Aborts when the server stops, with the error to return. */
  stopping: AbortSignal;
}) {
  const { isReady, services, stopping } = parts;
  const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = HealthCheckResponse_ServingStatus;

  async function statusOf(service: string): Promise<HealthCheckResponse_ServingStatus> {
    if (service !== "" && !services.includes(service)) return SERVICE_UNKNOWN;
    return (await isReady()) ? SERVING : NOT_SERVING;
  }

  return {
    /** Rejects with SERVICE_NOT_FOUND for an unknown service. */
    async check({ service }: HealthCheckRequest): Promise<CheckResponse> {
      const status = await statusOf(service);
      if (status === SERVICE_UNKNOWN) {
        const metadata = { service: service.slice(0, 200).toWellFormed() };
        throw new DomainError("SERVICE_NOT_FOUND", `The service ${service} does not exist.`, { metadata });
      }
      return { status };
    },
    /** The status of the server as a whole, and of each service. */
    async list(): Promise<MessageInitShape<typeof HealthListResponseSchema>> {
      const status = await statusOf("");
      return { statuses: Object.fromEntries(["", ...services].map((service) => [service, { status }])) };
    },
    /** Yields the current status, then each change. Ends with SHUTTING_DOWN when the server stops. */
    async *watch({ service }: HealthCheckRequest, gone: AbortSignal): AsyncGenerator<CheckResponse> {
      const ended = AbortSignal.any([gone, stopping]);
      let sent: HealthCheckResponse_ServingStatus | undefined;
      while (!ended.aborted) {
        const status = await statusOf(service);
        if (status !== sent) yield { status };
        sent = status;
        await sleep(WATCH_MS, undefined, { signal: ended }).catch(() => {});
      }
      if (!stopping.aborted) return;
      if (sent !== NOT_SERVING && sent !== SERVICE_UNKNOWN) yield { status: NOT_SERVING };
      throw stopping.reason;
    },
  };
}

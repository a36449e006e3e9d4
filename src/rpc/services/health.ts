import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type HealthCheckRequest,
  HealthCheckResponse_ServingStatus,
  type HealthCheckResponseSchema,
  type HealthListResponseSchema,
} from "../../../gen/grpc/health/v1/health_pb.ts";
import { DomainError } from "../../domain/errors.ts";

/** How often each watcher looks at the status, milliseconds. They share the looks at the store. */
const WATCH_MS = 500;

type CheckResponse = MessageInitShape<typeof HealthCheckResponseSchema>;

export type Health = ReturnType<typeof createHealth>;

/**
 * The health service of gRPC (https://github.com/grpc/grpc/blob/master/doc/health-checking.md), for the server as a
 * whole (the empty name) and for each of its services. Anybody may call it: balancers carry no token.
 */
export function createHealth(parts: {
  isReady: () => Promise<boolean>;
  services: readonly string[];
  /** Aborted, with the error to tell, when the server stops. */
  stopping: AbortSignal;
}) {
  const { isReady, services, stopping } = parts;
  const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = HealthCheckResponse_ServingStatus;

  async function statusOf(service: string): Promise<HealthCheckResponse_ServingStatus> {
    if (service !== "" && !services.includes(service)) return SERVICE_UNKNOWN;
    return (await isReady()) ? SERVING : NOT_SERVING;
  }

  return {
    /** Rejects with NOT_FOUND for a service that is not there. */
    async check({ service }: HealthCheckRequest): Promise<CheckResponse> {
      const status = await statusOf(service);
      if (status === SERVICE_UNKNOWN) {
        const metadata = { service: service.slice(0, 200).toWellFormed() };
        throw new DomainError("SERVICE_NOT_FOUND", `There is no service ${service}.`, { metadata });
      }
      return { status };
    },
    /** The status of the server as a whole, and of each service. */
    async list(): Promise<MessageInitShape<typeof HealthListResponseSchema>> {
      const status = await statusOf("");
      return { statuses: Object.fromEntries(["", ...services].map((service) => [service, { status }])) };
    },
    /** The status at once, then each change; ends with SHUTTING_DOWN when the server stops. */
    async *watch({ service }: HealthCheckRequest, gone: AbortSignal): AsyncGenerator<CheckResponse> {
      const ended = AbortSignal.any([gone, stopping]);
      let told: HealthCheckResponse_ServingStatus | undefined;
      while (!ended.aborted) {
        const status = await statusOf(service);
        if (status !== told) yield { status };
        told = status;
        await sleep(WATCH_MS, undefined, { signal: ended }).catch(() => {});
      }
      if (!stopping.aborted) return;
      if (told !== NOT_SERVING && told !== SERVICE_UNKNOWN) yield { status: NOT_SERVING };
      throw stopping.reason;
    },
  };
}

import type { ConnectRouter, HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { Health as HealthService } from "../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1alpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import type { Health } from "../rpc/health.ts";
import type { Reflection } from "../rpc/reflection.ts";
import { until } from "./body.ts";
import type { Explain } from "./connect.ts";

/**
 * Gives Connect's router the services that need no token: health and reflection. Their streams end when `stopping` is
 * aborted, with its reason.
 */
export function openServices(
  health: Health,
  reflect: Reflection,
  stopping: AbortSignal,
): (router: ConnectRouter, explain: Explain) => void {
  return (router, explain) => {
    async function* serverReflectionInfo(requests: AsyncIterable<Parameters<Reflection>[0]>, context: HandlerContext) {
      try {
        const stop = AbortSignal.any([context.signal, stopping]);
        for await (const request of until(requests, stop)) yield reflect(request);
      } catch (error) {
        throw explain(error, context);
      }
    }
    router.service(HealthService, {
      check: (request, context) =>
        health.check(request).catch((error) => {
          throw explain(error, context);
        }),
      list: (_request, context) =>
        health.list().catch((error) => {
          throw explain(error, context);
        }),
      async *watch(request, context) {
        try {
          yield* health.watch(request, context.signal);
          context.signal.throwIfAborted();
        } catch (error) {
          throw explain(error, context);
        }
      },
    });
    router.service(ServerReflection, { serverReflectionInfo });
    router.service(ServerReflectionV1alpha, {
      serverReflectionInfo: serverReflectionInfo as ServiceImpl<typeof ServerReflectionV1alpha>["serverReflectionInfo"],
    });
  };
}

import type { ConnectRouter, ServiceImpl } from "@connectrpc/connect";
import { Health as HealthService } from "../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1alpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import type { Health } from "../rpc/health.ts";
import type { Reflection } from "../rpc/reflection.ts";
import { toConnectError } from "./connect.ts";

/** Gives Connect's router the services that need no token: health and reflection. */
export function openServices(health: Health, reflect: Reflection): (router: ConnectRouter) => void {
  async function* serverReflectionInfo(requests: AsyncIterable<Parameters<Reflection>[0]>) {
    for await (const request of requests) yield reflect(request);
  }
  return (router) => {
    router.service(HealthService, {
      check: (request) =>
        health.check(request).catch((error) => {
          throw toConnectError(error);
        }),
      async *watch(request, { signal }) {
        try {
          yield* health.watch(request, signal);
        } catch (error) {
          throw toConnectError(error);
        }
      },
    });
    router.service(ServerReflection, { serverReflectionInfo });
    router.service(ServerReflectionV1alpha, {
      serverReflectionInfo: serverReflectionInfo as ServiceImpl<typeof ServerReflectionV1alpha>["serverReflectionInfo"],
    });
  };
}

import type { ConnectRouter, HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { Health as HealthService } from "../../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1alpha } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import type { Health } from "../../rpc/services/health.ts";
import type { Reflection } from "../../rpc/services/reflection.ts";
import type { Quota } from "../../rpc/shares.ts";
import type { OpenCalls } from "./connect-door.ts";

/**
 * Adds the services that need no token, health and reflection, to Connect's router. Each of their streams takes one of
 * `places`. All end with the reason of `stopping` when it is aborted.
 */
export function openServices(
  health: Health,
  reflect: Reflection,
  places: Quota,
  stopping: AbortSignal,
): (router: ConnectRouter, calls: OpenCalls) => void {
  return (router, { explain, holderOf, endOf }) => {
    const explained = (context: HandlerContext) => (error: unknown) => {
      throw explain(error, context);
    };
    async function* counted<Response>(context: HandlerContext, responses: () => AsyncIterable<Response>) {
      let leave = () => {};
      try {
        leave = places(holderOf(context));
        yield* responses();
        endOf(context).throwIfAborted();
      } catch (error) {
        throw explain(error, context);
      } finally {
        leave();
      }
    }
    async function* reflections(requests: AsyncIterable<Parameters<Reflection>[0]>, context: HandlerContext) {
      for await (const request of until(requests, AbortSignal.any([endOf(context), stopping]))) yield reflect(request);
    }
    const serverReflectionInfo = (requests: AsyncIterable<Parameters<Reflection>[0]>, context: HandlerContext) =>
      counted(context, () => reflections(requests, context));
    router.service(HealthService, {
      check: (request, context) => health.check(request).catch(explained(context)),
      list: (_request, context) => health.list().catch(explained(context)),
      watch: (request, context) => counted(context, () => health.watch(request, endOf(context))),
    });
    router.service(ServerReflection, { serverReflectionInfo });
    router.service(ServerReflectionV1alpha, {
      serverReflectionInfo: serverReflectionInfo as ServiceImpl<typeof ServerReflectionV1alpha>["serverReflectionInfo"],
    });
  };
}

/** Yields the items until the signal is aborted, then throws its reason at once. */
async function* until<Item>(items: AsyncIterable<Item>, stop: AbortSignal): AsyncGenerator<Item> {
  const iterator = items[Symbol.asyncIterator]();
  let fail: (reason: unknown) => void = () => {};
  const onStop = () => fail(stop.reason);
  stop.addEventListener("abort", onStop);
  try {
    for (;;) {
      const next = await new Promise<IteratorResult<Item>>((resolve, reject) => {
        fail = reject;
        if (stop.aborted) onStop();
        else iterator.next().then(resolve, reject);
      });
      if (next.done) return;
      yield next.value;
    }
  } finally {
    stop.removeEventListener("abort", onStop);
    // Not awaited, because an iterator that waits for bytes ends only with the connection.
    void iterator.return?.().catch(() => {});
  }
}

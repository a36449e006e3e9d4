import { randomUUID } from "node:crypto";
import type { DescService } from "@bufbuild/protobuf";
import { DomainError } from "../../../src/domain/errors.ts";
import type { RpcError } from "../../../src/rpc/errors.ts";
import type { Implementation } from "../../../src/rpc/handler.ts";
import { createPipeline } from "../../../src/rpc/pipeline.ts";
import { createShares } from "../../../src/rpc/shares.ts";
import { createRequestValidator } from "../../../src/rpc/validator.ts";
import { listen } from "../../../src/transport/connections/listener.ts";
import { createDispatch, type DispatchParts } from "../../../src/transport/dispatch.ts";
import { LIMITS } from "../../../src/transport/limits.ts";

/**
 * Serves handlers of the test through the doors, in this process. Methods without a handler fail. `open` adds services
 * that need no token. `errors` has what the server would log.
 */
export async function serveOwn<Service extends DescService>(
  service: Service,
  handlers: Partial<Implementation<Service>>,
  { unaryDoor = true, open = () => {} }: Partial<Pick<DispatchParts, "unaryDoor" | "open">> = {},
) {
  const stop = new AbortController();
  const errors: (RpcError | unknown)[] = [];
  const pipeline = createPipeline({
    authenticate: async () => ({ principal: { subject: "tester", grants: [{ role: "INSTANCE_OWNER" }] } }),
    receiptsOf() {
      throw new Error("this server keeps no receipts");
    },
    validator: createRequestValidator(),
    instance: { id: "default", domains: [] },
    maxCallMs: LIMITS.callMs,
    stopping: stop.signal,
    onError: (error) => errors.push(error),
  });
  const missing = async () => {
    throw new Error("the test has no handler for this method");
  };
  const all = Object.fromEntries(service.methods.map(({ localName }) => [localName, missing]));
  pipeline.serve(service, { ...all, ...handlers } as Implementation<Service>);
  const shares = createShares(LIMITS);
  const onFailure = (error: unknown) => errors.push(error);
  const listener = await listen({
    host: "127.0.0.1",
    port: 0,
    limits: LIMITS,
    connections: shares.connections,
    onFull() {},
    onFailure,
    onExchange: createDispatch({
      pipeline,
      open,
      unaryDoor,
      shares,
      isReady: async () => true,
      corsOrigins: [],
      authz: { gatewayToken: undefined, loginOrigins: [] },
      limits: LIMITS,
      newId: randomUUID,
      onFailure,
    }),
  });
  return {
    url: listener.url,
    errors,
    async close() {
      stop.abort(new DomainError("SHUTTING_DOWN", "The server is stopping."));
      await listener.close(1_000);
    },
  };
}

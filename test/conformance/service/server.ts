// The program that Connect's runner starts: node server.ts CONTRACT [--without-unary-door]
import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import { create, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { DomainError } from "../../../src/domain/errors.ts";
import { RpcError, toRpcError } from "../../../src/rpc/errors.ts";
import type { EnteredCaller, Implementation, Outlet } from "../../../src/rpc/handler.ts";
import { createPipeline, type Pipeline } from "../../../src/rpc/pipeline.ts";
import { createShares } from "../../../src/rpc/shares.ts";
import { createRequestValidator } from "../../../src/rpc/validator.ts";
import { listen } from "../../../src/transport/connections/listener.ts";
import { createDispatch } from "../../../src/transport/dispatch.ts";
import type { OpenCalls } from "../../../src/transport/grpc/connect-door.ts";
import { MAX_MESSAGE_BYTES } from "../../../src/transport/http/body.ts";
import type { Exchange } from "../../../src/transport/http/exchange.ts";
import { LIMITS } from "../../../src/transport/limits.ts";
import { type Contract, type Header, type Request, readContract } from "./contract.ts";
import { handlersOf, type Visit } from "./handlers.ts";

const [contractFile = "", flag] = process.argv.slice(2);

interface Asked {
  useTls: boolean;
  messageReceiveLimit: number;
  serverCreds?: { cert: Uint8Array; key: Uint8Array };
}

/** What the service needs to know of a call, and userlock's own handlers do not. */
const calls = new AsyncLocalStorage<{ exchange: Exchange; timeoutMs: number | undefined }>();

/** The runner's messages have a length of four bytes before them. */
async function readFrame(): Promise<Buffer> {
  let held = Buffer.alloc(0);
  for await (const chunk of process.stdin) {
    held = Buffer.concat([held, chunk]);
    if (held.length >= 4 && held.length >= 4 + held.readUInt32BE(0)) break;
  }
  return held.subarray(4, 4 + held.readUInt32BE(0));
}

function writeFrame(bytes: Uint8Array): void {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(bytes.byteLength);
  process.stdout.write(Buffer.concat([size, bytes]));
}

function visitOf(signal: AbortSignal, setFields: Visit["setFields"]): Visit {
  const { exchange, timeoutMs } = calls.getStore() as { exchange: Exchange; timeoutMs: number | undefined };
  const requestHeaders: Header[] = Object.entries(exchange.headers)
    .filter(([name]) => !name.startsWith(":"))
    .map(([name, value]) => ({ name, value: [value ?? []].flat().flatMap((each) => each.split(", ")) }));
  const { searchParams } = new URL(exchange.target, "http://localhost");
  const query = [...searchParams].map(([name, value]) => ({ name, value: [value] }));
  return { signal, requestHeaders, timeoutMs, query: exchange.verb === "GET" ? query : undefined, setFields };
}

/** The methods that go through the pipeline, as userlock's own. */
function serveGated(contract: Contract, signal: AbortSignal): Pipeline {
  const { service } = contract;
  const handlers = handlersOf(contract);
  const pipeline = createPipeline({
    authenticate: async () => ({ principal: { subject: "conformance", grants: [{ role: "INSTANCE_OWNER" }] } }),
    receiptsOf() {
      throw new Error("The service changes nothing, so it keeps no receipts.");
    },
    validator: createRequestValidator(),
    instance: { id: "conformance", domains: [] },
    maxCallMs: LIMITS.callMs,
    stopping: signal,
    onError() {},
    types: contract.registry,
    // The suite expects only the details that it has asked for.
    toError(error, requestId) {
      const { code, message, details, cause } = toRpcError(error, requestId);
      return new RpcError(code, message, error instanceof DomainError ? [] : details, cause);
    },
  });
  const visitFor = ({ signal: gone, response }: EnteredCaller) =>
    visitOf(gone, (headers, trailers) => Object.assign(response, { headers, trailers }));
  const unary = (method: string) => (request: Message, caller: EnteredCaller) =>
    handlers.unary(method, request as Request<never>, visitFor(caller));
  const implementation = {
    unary: unary("Unary"),
    idempotentUnary: unary("IdempotentUnary"),
    async serverStream(request: Message, caller: EnteredCaller, outlet: Outlet) {
      for await (const message of handlers.serverStream(request as Request<never>, visitFor(caller))) {
        while (!outlet.send(message)) await outlet.ready();
      }
    },
  };
  const methods = service.methods.filter(({ localName }) => Object.hasOwn(implementation, localName));
  pipeline.serve({ ...service, methods }, implementation as unknown as Implementation<typeof service>);
  return {
    ...pipeline,
    methods: pipeline.methods,
    admit(method, call) {
      Object.assign(calls.getStore() as object, { timeoutMs: call.timeoutMs });
      return pipeline.admit(method, call);
    },
    admitStream(method, call) {
      Object.assign(calls.getStore() as object, { timeoutMs: call.timeoutMs });
      return pipeline.admitStream(method, call);
    },
  };
}

/** The methods with request streams, which go the way of reflection. */
function serveOpen(contract: Contract, readMaxBytes: number) {
  const { clientStream, bidiStream } = handlersOf(contract);
  const methodOf = (name: string) => contract.service.method[name] as Contract["service"]["method"][string];
  return (router: ConnectRouter, { explain }: OpenCalls) => {
    const visitFor = (context: HandlerContext) => {
      Object.assign(calls.getStore() as object, { timeoutMs: context.timeoutMs() });
      return visitOf(context.signal, (headers, trailers) => {
        for (const [name, value] of Object.entries(headers)) context.responseHeader.set(name, value);
        for (const [name, value] of Object.entries(trailers)) context.responseTrailer.set(name, value);
      });
    };
    const service = { ...contract.service, methods: [methodOf("clientStream"), methodOf("bidiStream")] };
    const implementation = {
      async clientStream(requests: AsyncIterable<Request<never>>, context: HandlerContext) {
        return clientStream(requests, visitFor(context)).catch((error) => {
          throw explain(error, context);
        });
      },
      async *bidiStream(requests: AsyncIterable<Request<never>>, context: HandlerContext) {
        try {
          yield* bidiStream(requests, visitFor(context));
        } catch (error) {
          throw explain(error, context);
        }
      },
    };
    router.service(service, implementation as unknown as Parameters<typeof router.service>[1], { readMaxBytes });
  };
}

const frame = await readFrame();
const { message: messageOf } = readContract(contractFile, 0);
const asked = fromBinary(messageOf("ServerCompatRequest"), frame) as unknown as Asked;
const contract = readContract(contractFile, asked.messageReceiveLimit);
const { useTls, serverCreds } = asked;
const textOf = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString();
const stop = new AbortController();
const shares = createShares(LIMITS);
const onFailure = (error: unknown) => process.stderr.write(`outside of a call: ${error}\n`);
const dispatch = createDispatch({
  pipeline: serveGated(contract, stop.signal),
  open: serveOpen(contract, asked.messageReceiveLimit || MAX_MESSAGE_BYTES),
  unaryDoor: flag !== "--without-unary-door",
  shares,
  isReady: async () => true,
  corsOrigins: [],
  authz: { gatewayToken: undefined, loginOrigins: [] },
  limits: LIMITS,
  newId: randomUUID,
  onFailure,
});
const listener = await listen({
  host: "127.0.0.1",
  port: 0,
  tls: useTls ? { cert: textOf(serverCreds?.cert), key: textOf(serverCreds?.key) } : undefined,
  limits: LIMITS,
  connections: shares.connections,
  onFull() {},
  onExchange: (exchange) => calls.run({ exchange, timeoutMs: undefined }, () => dispatch(exchange)),
  onFailure,
});
const { hostname: host, port } = new URL(listener.url);
const pemCert = useTls ? serverCreds?.cert : undefined;
const response = messageOf("ServerCompatResponse");
writeFrame(toBinary(response, create(response, { host, port: Number(port), ...(pemCert && { pemCert }) })));
for (const name of ["SIGTERM", "SIGINT"] as const) {
  process.once(name, async () => {
    stop.abort(new DomainError("SHUTTING_DOWN", "The server is stopping."));
    await listener.close(1_000);
    process.exit(0);
  });
}

import { setTimeout as sleep } from "node:timers/promises";
import { create, type DescMessage, type Message } from "@bufbuild/protobuf";
import { type Any, anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import type { Code } from "../../../gen/google/rpc/code_pb.ts";
import { RpcError } from "../../../src/rpc/errors.ts";
import type { Contract, Failure, Header, Request, StreamDefinition, UnaryDefinition } from "./contract.ts";

/** A call as the suite's service sees it, whichever door it came through. */
export interface Visit {
  signal: AbortSignal;
  requestHeaders: Header[];
  /** The caller's deadline, milliseconds. */
  timeoutMs: number | undefined;
  /** The query of a call by GET. */
  query: Header[] | undefined;
  /** Sets the response's headers and trailers. */
  setFields(headers: Record<string, string>, trailers: Record<string, string>): void;
}

/** Answers as the request defines: https://github.com/connectrpc/conformance, service.proto. */
export function handlersOf({ registry, service, message }: Contract) {
  const payloadDesc = message("ConformancePayload");
  const infoDesc = message("ConformancePayload.RequestInfo");
  const outputOf = (name: string) => service.methods.find((method) => method.name === name)?.output as DescMessage;

  function infoOf(visit: Visit, requests: Any[]): Message {
    const { requestHeaders, timeoutMs, query } = visit;
    return create(infoDesc, {
      requestHeaders,
      requests,
      ...(timeoutMs !== undefined && { timeoutMs: BigInt(Math.round(timeoutMs)) }),
      ...(query && { connectGetInfo: { queryParams: query } }),
    });
  }

  function answer(method: string, data: Uint8Array, requestInfo: Message | undefined): Message {
    const payload = create(payloadDesc, { data, ...(requestInfo && { requestInfo }) });
    return create(outputOf(method), { payload });
  }

  /** An error with the details that the request defines, and the request's info. */
  function errorOf({ code, message: text = "", details }: Failure, info: Message | undefined): RpcError {
    const unpacked = details.map((any) => {
      const value = anyUnpack(any, registry);
      if (!value) throw new Error(`The contract has no ${any.typeUrl}.`);
      return { desc: registry.getMessage(value.$typeName) as DescMessage, value };
    });
    return new RpcError(code as Code, text, info ? [...unpacked, { desc: infoDesc, value: info }] : unpacked);
  }

  const setFields = (visit: Visit, { responseHeaders, responseTrailers }: UnaryDefinition | StreamDefinition) =>
    visit.setFields(fieldsOf(responseHeaders), fieldsOf(responseTrailers));

  const packed = (request: Message) => anyPack(registry.getMessage(request.$typeName) as DescMessage, request);

  async function one(method: string, definition: UnaryDefinition | undefined, requests: Any[], visit: Visit) {
    const info = infoOf(visit, requests);
    if (!definition) return answer(method, new Uint8Array(), info);
    setFields(visit, definition);
    await wait(definition, visit);
    const { response } = definition;
    if (response.case === "error") throw errorOf(response.value, info);
    return answer(method, response.value ?? new Uint8Array(), info);
  }

  return {
    unary: (method: string, request: Request<UnaryDefinition>, visit: Visit) =>
      one(method, request.responseDefinition, [packed(request)], visit),

    async *serverStream(request: Request<StreamDefinition>, visit: Visit): AsyncGenerator<Message> {
      const definition = request.responseDefinition;
      if (!definition) return;
      setFields(visit, definition);
      let info: Message | undefined = infoOf(visit, [packed(request)]);
      for (const data of definition.responseData) {
        await wait(definition, visit);
        yield answer("ServerStream", data, info);
        info = undefined;
      }
      if (definition.error) throw errorOf(definition.error, info);
    },

    async clientStream(requests: AsyncIterable<Request<UnaryDefinition>>, visit: Visit): Promise<Message> {
      const received: Request<UnaryDefinition>[] = [];
      for await (const request of requests) received.push(request);
      return one("ClientStream", received[0]?.responseDefinition, received.map(packed), visit);
    },

    /** In full duplex each request is answered as it comes, in half duplex after the last one. */
    async *bidiStream(requests: AsyncIterable<Request<StreamDefinition>>, visit: Visit): AsyncGenerator<Message> {
      let definition: StreamDefinition | undefined;
      let isFull = false;
      let isFirst = true;
      let unanswered: Any[] = [];
      let waiting: Uint8Array[] = [];
      function* next(): Generator<Message> {
        const data = waiting.shift();
        if (data === undefined) return;
        const more = unanswered.length > 0 ? create(infoDesc, { requests: unanswered }) : undefined;
        yield answer("BidiStream", data, isFirst ? infoOf(visit, unanswered) : more);
        isFirst = false;
        unanswered = [];
      }
      for await (const request of requests) {
        if (!definition) {
          definition = request.responseDefinition;
          isFull = request.fullDuplex ?? false;
          if (!definition) continue;
          setFields(visit, definition);
          waiting = [...definition.responseData];
        }
        unanswered.push(packed(request));
        if (!isFull) continue;
        if (waiting.length === 0) break;
        await wait(definition, visit);
        yield* next();
      }
      if (!definition) return;
      while (waiting.length > 0) {
        await wait(definition, visit);
        yield* next();
      }
      if (definition.error) throw errorOf(definition.error, isFirst ? infoOf(visit, unanswered) : undefined);
    },
  };
}

async function wait({ responseDelayMs }: { responseDelayMs: number }, { signal }: Visit): Promise<void> {
  if (responseDelayMs > 0) await sleep(responseDelayMs, undefined, { signal });
}

function fieldsOf(headers: readonly Header[]): Record<string, string> {
  return Object.fromEntries(headers.map(({ name, value }) => [name.toLowerCase(), value.join(", ")]));
}

import { create, fromBinary, fromJsonString, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import {
  type Event,
  EventSchema,
  EventService,
  WatchEventsRequestSchema,
  WatchEventsResponseSchema,
} from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { reasonOfGrpcStatus } from "../clients/error-info.ts";
import { openGrpcClient } from "../clients/grpc-client.ts";
import { problemsOfEvent } from "../openapi/answers.ts";
import { ADMIN_TOKEN } from "../servers/server-process.ts";

/** How a stream ended. */
export interface StreamEnd {
  /** Name of the code. A broken connection gives `UNAVAILABLE`, a cancelled stream `OK`. */
  code: string;
  reason: string | undefined;
}

export interface Message {
  cursor: string;
  event?: Event | undefined;
}

/** A stream of events in the same form for every protocol. */
export interface EventStream {
  messages: Message[];
  /** The messages that are events. */
  events(): Event[];
  /** Resolves when `count` messages have arrived. Rejects if the stream ends earlier. */
  received(count: number): Promise<void>;
  /** Resolves when `count` events have arrived. Not every message is an event. */
  happened(count: number): Promise<void>;
  /** Never rejects. */
  ended: Promise<StreamEnd>;
  cancel(): void;
}

export interface WatchOptions {
  /** The token, by default the instance owner's. Null for none. */
  token?: string | null;
  headers?: Record<string, string>;
  timeoutMs?: number;
}

type Request = MessageInitShape<typeof WatchEventsRequestSchema>;

/** A client of one protocol for WatchEvents. */
export interface WatchDoor {
  name: string;
  watch(request?: Request, options?: WatchOptions): EventStream;
  close(): void;
}

/** Passes on each message until the stream ends. */
type Source = (
  request: Request,
  options: { headers: Record<string, string>; timeoutMs: number | undefined; signal: AbortSignal },
  onMessage: (message: Message) => void,
) => Promise<StreamEnd>;

const { watchEvents } = EventService.method;
const PATH = `/${EventService.typeName}/${watchEvents.name}`;

/** A client for every protocol with WatchEvents. */
export function openWatchDoors(url: string): WatchDoor[] {
  const grpc = openGrpcClient(new URL(url).host);
  return [
    door("gRPC", overGrpc(grpc), () => grpc.close()),
    door("gRPC-Web", overConnect(createGrpcWebTransport({ baseUrl: url, httpVersion: "1.1" }))),
    door("gRPC-Web text", overGrpcWebText(url)),
    door("Connect proto", overConnect(createConnectTransport({ baseUrl: url, httpVersion: "2" }))),
    door(
      "Connect JSON",
      overConnect(createConnectTransport({ baseUrl: url, httpVersion: "1.1", useBinaryFormat: false })),
    ),
    door("server-sent events", overSse(url)),
  ];
}

/** The names of the protocols, for test tables that are built before a server starts. */
export const WATCH_DOORS = openWatchDoors("http://127.0.0.1:1").map((one) => {
  one.close();
  return one.name;
});

function door(name: string, source: Source, close = () => {}): WatchDoor {
  return {
    name,
    close,
    watch(request = {}, { token = ADMIN_TOKEN, headers = {}, timeoutMs } = {}) {
      const all = { ...headers, ...(token !== null && { authorization: `Bearer ${token}` }) };
      const messages: Message[] = [];
      const left = new AbortController();
      let wake = Promise.withResolvers<void>();
      let end: StreamEnd | undefined;
      let events = 0;
      const woken = () => {
        wake.resolve();
        wake = Promise.withResolvers();
      };
      const ended = source(request, { headers: all, timeoutMs, signal: left.signal }, (message) => {
        messages.push(message);
        if (message.event) events++;
        woken();
      }).then((how) => {
        end = left.signal.aborted ? { code: "OK", reason: undefined } : how;
        woken();
        return end;
      });
      async function wait(done: () => boolean): Promise<void> {
        while (!done()) {
          if (end) throw new Error(`the stream ended with ${end.code} ${end.reason} after ${messages.length}`);
          await wake.promise;
        }
      }
      return {
        messages,
        ended,
        events: () => messages.flatMap(({ event }) => event ?? []),
        received: (count) => wait(() => messages.length >= count),
        happened: (count) => wait(() => events >= count),
        cancel: () => left.abort(),
      };
    },
  };
}

function overGrpc(client: ReturnType<typeof openGrpcClient>): Source {
  return async (request, { headers, timeoutMs, signal }, onMessage) => {
    const deadline = timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
    const stream = client.stream(watchEvents, request, { metadata: headers, ...deadline, onMessage });
    signal.addEventListener("abort", stream.cancel);
    return stream.ended;
  };
}

function overConnect(transport: Transport): Source {
  const client = createClient(EventService, transport);
  return async (request, { headers, timeoutMs, signal }, onMessage) => {
    try {
      const options = { headers, signal, ...(timeoutMs !== undefined && { timeoutMs }) };
      for await (const message of client.watchEvents(request, options)) onMessage(message);
      return { code: "OK", reason: undefined };
    } catch (thrown) {
      const error = ConnectError.from(thrown);
      return { code: nameOf(error.code), reason: error.findDetails(ErrorInfoSchema)[0]?.reason };
    }
  };
}

function nameOf(code: Code): string {
  return (Code[code] as string)
    .replaceAll(/(?<=[a-z])[A-Z]/g, "_$&")
    .toUpperCase()
    .replace("CANCELED", "CANCELLED");
}

const GRPC_CODES = Object.entries(Code).filter(([, code]) => typeof code === "number") as [string, Code][];
const nameOfNumber = (code: number) => {
  const known = GRPC_CODES.find(([, number]) => number === code);
  return known ? nameOf(known[1]) : "OK";
};

const BROKEN: StreamEnd = { code: "UNAVAILABLE", reason: undefined };

/** Written by hand: base64 in pieces (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md). */
function overGrpcWebText(url: string): Source {
  return async (request, { headers, timeoutMs, signal }, onMessage) => {
    const bytes = toBinary(WatchEventsRequestSchema, create(WatchEventsRequestSchema, request));
    const frame = Buffer.alloc(5 + bytes.byteLength);
    frame.writeUInt32BE(bytes.byteLength, 1);
    frame.set(bytes, 5);
    const timeout = timeoutMs === undefined ? {} : { "grpc-timeout": `${timeoutMs}m` };
    const trailers = new Headers();
    try {
      const response = await fetch(url + PATH, {
        method: "POST",
        headers: { ...headers, ...timeout, "content-type": "application/grpc-web-text+proto" },
        body: frame.toString("base64"),
        signal,
      });
      expect(response.headers.get("content-type")).toBe("application/grpc-web-text+proto");
      let text = "";
      let rest = Buffer.alloc(0);
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        const whole = /^(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)*/.exec(text)?.[0] as string;
        text = text.slice(whole.length);
        const pieces = [...whole.matchAll(/[^=]+=*/g)].map(([piece]) => Buffer.from(piece, "base64"));
        rest = Buffer.concat([rest, ...pieces]);
        while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
          const end = 5 + rest.readUInt32BE(1);
          const data = rest.subarray(5, end);
          if (rest[0] === 0) onMessage(fromBinary(WatchEventsResponseSchema, data));
          else {
            for (const line of data.toString().split("\r\n").filter(Boolean)) {
              const colon = line.indexOf(":");
              trailers.set(line.slice(0, colon), line.slice(colon + 1).trim());
            }
          }
          rest = rest.subarray(end);
        }
      }
    } catch {
      return BROKEN;
    }
    if (!trailers.has("grpc-status")) return BROKEN;
    const details = Buffer.from(trailers.get("grpc-status-details-bin") ?? "", "base64");
    return { code: nameOfNumber(Number(trailers.get("grpc-status"))), reason: reasonOfGrpcStatus(details) };
  };
}

/** The query string of a watch request. */
export function queryOf(request: Request): string {
  const query = new URLSearchParams();
  if (request.after) query.set("after", request.after);
  const { property } = request.organization ?? {};
  if (property?.case === "orgId") query.set("organization.orgId", property.value as string);
  for (const id of request.userIds ?? []) query.append("user_ids", id);
  for (const type of request.types ?? []) query.append("types", type);
  return query.toString();
}

/** Parses as browsers do (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream). */
function overSse(url: string): Source {
  return async (request, { headers, timeoutMs, signal }, onMessage) => {
    const timeout = timeoutMs === undefined ? {} : { "connect-timeout-ms": String(timeoutMs) };
    const failed = (json: string): StreamEnd => {
      const { code, details } = JSON.parse(json);
      return { code: nameOfNumber(code), reason: details?.[0]?.reason };
    };
    try {
      const target = `${url}/resources/v3alpha/events/_watch?${queryOf(request)}`;
      const response = await fetch(target, { headers: { ...headers, ...timeout }, signal });
      if (!response.ok) return failed(await response.text());
      let rest = "";
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        const blocks = (rest + chunk).split("\n\n");
        rest = blocks.pop() as string;
        for (const block of blocks) {
          const fields = new Map(block.split("\n").map((line) => line.split(/: (.*)/s) as [string, string]));
          const [id, data] = [fields.get("id"), fields.get("data")];
          const problems = data === undefined ? [] : problemsOfEvent(fields.get("event"), data);
          if (problems.length > 0) return { code: "INVALID_EVENT", reason: problems.join("; ") };
          if (fields.get("event") === "error") return failed(data as string);
          onMessage({ cursor: id as string, ...(data !== undefined && { event: fromJsonString(EventSchema, data) }) });
        }
      }
      return BROKEN;
    } catch {
      return BROKEN;
    }
  };
}

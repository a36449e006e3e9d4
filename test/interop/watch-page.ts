/** The bundled script of the test page: the ways in which a console follows events. */
import { create, type DescMethod, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { GrpcWebClientBase, MethodDescriptor, MethodType } from "grpc-web";
import { EventService, type WatchEventsResponse } from "../../gen/userlock/v3alpha/event_service_pb.ts";

/** Records an event in short, or another message. */
type Note = (text: string) => void;

const { watchEvents } = EventService.method;
const inShort = ({ event }: Pick<WatchEventsResponse, "event">) => (event ? `${event.type} ${event.userId}` : "alive");

function overConnect(transport: Transport, token: string, note: Note): void {
  const client = createClient(EventService, transport);
  void (async () => {
    const headers = { authorization: `Bearer ${token}` };
    for await (const message of client.watchEvents({}, { headers })) note(inShort(message));
  })().catch((error) => note(String(error)));
}

/** Used like the code of Google's generator. */
function overGrpcWebText(url: string, token: string, note: Note): void {
  const path = ({ parent, name }: DescMethod) => `${url}/${parent.typeName}/${name}`;
  const descriptor = new MethodDescriptor<Message, WatchEventsResponse>(
    path(watchEvents),
    MethodType.SERVER_STREAMING,
    Object as never,
    Object as never,
    (message: Message) => toBinary(watchEvents.input, message as never),
    (bytes: Uint8Array) => fromBinary(watchEvents.output, bytes),
  );
  const headers = { authorization: `Bearer ${token}` };
  new GrpcWebClientBase({ format: "text" })
    .serverStreaming(path(watchEvents), create(watchEvents.input), headers, descriptor)
    .on("data", (message) => note(inShort(message as WatchEventsResponse)))
    .on("error", (error) => note(String(error)));
}

const WAYS = {
  /** EventSource cannot send a token, so it calls a server of its own origin, which adds one. */
  EventSource(_url: string, _token: string, note: Note) {
    const source = new EventSource("/events");
    source.addEventListener("open", () => note("open"));
    source.addEventListener("message", ({ data, lastEventId }) => {
      const event = JSON.parse(data);
      note(event.cursor === lastEventId ? `${event.type} ${event.userId}` : "another id");
    });
  },
  "connect-web, gRPC-Web": (url: string, token: string, note: Note) =>
    overConnect(createGrpcWebTransport({ baseUrl: url }), token, note),
  "connect-web, Connect JSON": (url: string, token: string, note: Note) =>
    overConnect(createConnectTransport({ baseUrl: url }), token, note),
  "grpc-web, grpcwebtext": overGrpcWebText,
};
export type Way = keyof typeof WAYS;

const page = {
  notes: {} as Record<string, string[]>,
  follow(way: Way, url: string, token: string): void {
    const notes: string[] = [];
    page.notes[way] = notes;
    WAYS[way](url, token, (text) => notes.push(text));
  },
};

declare global {
  interface Window {
    watching: typeof page;
  }
}
window.watching = page;

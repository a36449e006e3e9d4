import { once } from "node:events";
import { connect } from "node:http2";
import { create, type DescMethod, toBinary } from "@bufbuild/protobuf";
import { EventService, WatchEventsRequestSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";

/** Streams on one connection. A server allows 256. */
const STREAMS = 250;

/** Many watchers over few gRPC connections. They only count messages, to save CPU. */
export interface ManyWatchers {
  /** Resolves when each has this many messages, with the time of the last one (performance.now). */
  allHave(messages: number): Promise<number>;
  /** The messages of each watcher as bytes, if they are kept. */
  received: Buffer[][];
  close(): void;
}

const { watchEvents } = EventService.method;
const bodyOf = (types: string[]) => toBinary(WatchEventsRequestSchema, create(WatchEventsRequestSchema, { types }));

/** Resolves when each watcher has its first message. `keep` keeps the messages. */
export async function openManyWatchers(
  url: string,
  {
    token,
    count,
    keep = false,
    types = [],
    call: { method, body } = { method: watchEvents, body: bodyOf(types) },
  }: {
    token: string;
    count: number;
    keep?: boolean;
    types?: string[];
    /** By default WatchEvents of the types. */
    call?: { method: DescMethod; body: Uint8Array };
  },
): Promise<ManyWatchers> {
  const request = Buffer.concat([Buffer.from([0, 0, 0, 0, body.byteLength]), body]);
  const counts = new Array<number>(count).fill(0);
  const received: Buffer[][] = counts.map(() => []);
  let [least, behind, last] = [0, count, 0];
  let waiting: { messages: number; resolve(time: number): void }[] = [];

  function onMessage(index: number, message: Buffer): void {
    if (keep) received[index]!.push(Buffer.from(message));
    last = performance.now();
    if (counts[index]!++ !== least || --behind > 0) return;
    least = Math.min(...counts);
    behind = counts.filter((got) => got === least).length;
    const done = waiting.filter(({ messages }) => messages <= least);
    waiting = waiting.filter(({ messages }) => messages > least);
    for (const { resolve } of done) resolve(last);
  }

  const sessions = await Promise.all(
    Array.from({ length: Math.ceil(count / STREAMS) }, async () => {
      const session = connect(url);
      session.on("error", () => {});
      await once(session, "connect");
      return session;
    }),
  );
  for (let index = 0; index < count; index++) {
    const stream = sessions[index % sessions.length]!.request({
      ":method": "POST",
      ":path": `/${EventService.typeName}/${method.name}`,
      "content-type": "application/grpc",
      authorization: `Bearer ${token}`,
    });
    stream.on("error", () => {});
    stream.end(request);
    let rest: Buffer = Buffer.alloc(0);
    stream.on("data", (chunk: Buffer) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
        const end = 5 + rest.readUInt32BE(1);
        onMessage(index, rest.subarray(5, end));
        rest = rest.subarray(end);
      }
    });
  }

  const many: ManyWatchers = {
    received,
    allHave: (messages) =>
      least >= messages
        ? Promise.resolve(last)
        : new Promise((resolve) => {
            waiting.push({ messages, resolve });
          }),
    close() {
      for (const session of sessions) session.destroy();
    },
  };
  await many.allHave(1);
  return many;
}

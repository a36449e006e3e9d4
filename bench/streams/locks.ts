import { once } from "node:events";
import { connect } from "node:http2";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import {
  EventService,
  WatchLocksRequestSchema,
  type WatchLocksResponse,
  WatchLocksResponseSchema,
} from "../../gen/userlock/v3alpha/event_service_pb.ts";
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { openManyWatchers } from "../../test/support/watch/many-watchers.ts";
import { grpcWires } from "../load/http2-wire.ts";
import { load } from "../load/load.ts";
import { createCallsByGrpc } from "../load/lock-calls.ts";
import { makeBigFile } from "../support/big-file.ts";
import type { Bench, Side } from "../support/compare.ts";
import { temporaryFolder } from "../support/files.ts";
import { type BenchServer, headers, startBenchServer, TOKEN } from "../support/server.ts";
import { CALLS, DENIED, WATCHERS } from "../support/sizes.ts";
import { quantile, show } from "../support/statistics.ts";

const MEBIBYTE = 2 ** 20;

/** The other side of a figure that is a time or a ratio already. */
const one = (parts: number): Side => ({
  sample: async () => ({ values: new Array(parts).fill(1), line: "1" }),
  stop: async () => {},
});

/** Times from LockUser's answer to the last of the streams. All streams run in this process. */
export const locksWatchers: Bench = {
  name: `p99 in ms from LockUser's answer until the last of ${WATCHERS.toLocaleString("en")} WatchLocks streams has it`,
  bound: 30,
  aim: 10,
  isLessBetter: true,
  isUnpinned: true,
  async ours() {
    const server = await startBenchServer({ isPinned: false });
    const transport = createGrpcTransport({ baseUrl: server.url });
    const users = createClient(UserService, transport);
    const id = "victim";
    await users.createUser({ user: { userId: id } }, { headers });
    const { events } = await createClient(EventService, transport).listEvents({ limit: 1 }, { headers });
    const after = events[0]?.cursor as string;
    const body = toBinary(WatchLocksRequestSchema, create(WatchLocksRequestSchema, { after }));
    const all = await openManyWatchers(server.url, {
      token: TOKEN,
      count: WATCHERS,
      call: { method: EventService.method.watchLocks, body },
    });
    let changes = 0;
    return {
      async sample() {
        const times: number[] = [];
        for (let call = 0; call < Math.min(CALLS, 200); call++) {
          await users.lockUser({ id, reason: "fraud" }, { headers });
          const answered = performance.now();
          times.push(Math.max((await all.allHave(1 + ++changes)) - answered, 0));
          await users.unlockUser({ id }, { headers });
          await all.allHave(1 + ++changes);
        }
        const p99 = quantile(times, 0.99);
        return { values: [p99], line: `${show(p99)} ms, and ${show(quantile(times, 0.5))} ms in the median` };
      },
      stop: server.stop,
    };
  },
  theirs: async () => one(1),
};

/** Calls a second of the others while the snapshot is sent, and calls for each measurement without it. */
const PER_SECOND = 500;

/** CreateUser calls at a fixed rate, before the snapshot and during it. */
export const locksSnapshot: Bench = {
  name: `a snapshot of ${DENIED.toLocaleString("en")} denied users`,
  parts: ["p99 of other calls ÷ without it", "further memory of the server in units of 64 MiB"],
  isLessBetter: true,
  isUnpinned: true,
  warmUps: 0,
  async ours() {
    const file = temporaryFolder().file("locks.db");
    // Each user is created, patched and locked.
    await makeBigFile(file, { checkout: ".", users: DENIED, events: 3 });
    const server = await startBenchServer({ store: `sqlite:${file}`, isPinned: false });
    let made = 0;
    const id = (call: number) => `other-${String(call).padStart(7, "0")}`;
    const open = await grpcWires(createCallsByGrpc(server, id), made++);
    async function p99Of(count: number): Promise<number> {
      const from = made;
      made += count;
      const { times } = await load(open, { from, count, connections: 4, inFlight: 800, perSecond: PER_SECOND });
      return quantile(times, 0.99);
    }
    await p99Of(2_000);
    return {
      async sample() {
        const quiet = await p99Of(5_000);
        const before = server.memory();
        let most = before;
        const timer = setInterval(() => {
          most = Math.max(most, server.memory());
        }, 50);
        const began = performance.now();
        const beganCpu = server.cpu();
        let time = 0;
        const snapshot = readSnapshot(server).then((frames) => {
          time = performance.now() - began;
          return frames;
        });
        const during: number[] = [];
        while (time === 0) during.push(await p99Of(PER_SECOND));
        clearInterval(timer);
        const cpu = server.cpu() - beganCpu;
        const users = usersIn(await snapshot);
        if (users !== DENIED) throw new Error(`the snapshot has ${users} of ${DENIED} users`);
        // The last measurement goes on after the snapshot.
        const busy = quantile(during.length > 1 ? during.slice(0, -1) : during, 0.5);
        const line =
          `${show(busy)} ms, ${show(quiet)} ms without it; ${show(time / 1_000)} s, ${show(cpu / 1_000)} s of CPU with ` +
          `the other calls; ${show(before / MEBIBYTE)} MiB, then at most ${show(most / MEBIBYTE)} MiB`;
        return { values: [busy / quiet, (most - before) / MEBIBYTE / 64], line };
      },
      stop: server.stop,
    };
  },
  theirs: async () => one(2),
};

/** Reads WatchLocks up to the end of the snapshot. The frames are decoded later, because the others share this thread. */
async function readSnapshot({ url }: BenchServer): Promise<Buffer[]> {
  const session = connect(url);
  await once(session, "connect");
  const stream = session.request({
    ":method": "POST",
    ":path": `/${EventService.typeName}/${EventService.method.watchLocks.name}`,
    "content-type": "application/grpc",
    authorization: `Bearer ${TOKEN}`,
  });
  stream.end(Buffer.alloc(5));
  const frames: Buffer[] = [];
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
      const end = 5 + rest.readUInt32BE(1);
      frames.push(rest.subarray(5, end));
      rest = rest.subarray(end);
      // Only the end of the snapshot has a cursor.
      if (frames.length > 1 && decode(frames.at(-1) as Buffer, 200)?.cursor) {
        session.destroy();
        return frames;
      }
    }
  }
  throw new Error("the stream ended within the snapshot");
}

/** Decodes a frame unless it is longer. */
function decode(frame: Buffer, maxBytes: number): WatchLocksResponse | undefined {
  return frame.byteLength > maxBytes ? undefined : fromBinary(WatchLocksResponseSchema, frame);
}

function usersIn(frames: readonly Buffer[]): number {
  const ids = new Set<string>();
  for (const frame of frames) {
    const { content } = fromBinary(WatchLocksResponseSchema, frame);
    if (content.case === "snapshot") for (const { userId } of content.value.users) ids.add(userId);
  }
  return ids.size;
}

// Proves that the guard's set of denied users follows the stream: whole snapshots, changes, gaps, cursors and silence.
import { setTimeout as sleep } from "node:timers/promises";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import {
  DenialCause,
  EventService,
  type WatchLocksRequest,
  WatchLocksResponseSchema,
} from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { followLocks } from "../../../packages/client/src/guard/locks.ts";
import { createServerClock } from "../../../packages/client/src/guard/server-clock.ts";
import { eventually } from "../../support/client/eventually.ts";

type Message = MessageInitShape<typeof WatchLocksResponseSchema>;

/** One opened stream, which the test writes. */
interface Opened {
  request: WatchLocksRequest;
  send(message: Message): void;
  end(error?: unknown): void;
}

const page = (ids: string[], done: boolean): Message => ({
  content: { case: "snapshot", value: { users: ids.map((userId) => ({ userId, cause: DenialCause.LOCKED })), done } },
});
/** Everything up to the cursor was sent. */
const current = (cursor: string): Message => ({ cursor });
const change = (userId: string, denied: boolean, cursor: string, until?: number): Message => ({
  cursor,
  content: {
    case: "change",
    value: {
      userId,
      denied,
      cause: denied ? DenialCause.LOCKED : DenialCause.UNSPECIFIED,
      ...(until !== undefined && { until: timestampFromMs(until) }),
    },
  },
});

const stop = new AbortController();
afterAll(() => stop.abort());

/** Follows a server of the test. */
function open(options: { maxStaleMs?: number; silenceMs?: number } = {}) {
  const streams: Opened[] = [];
  const seen: string[] = [];
  const transport = createRouterTransport(({ service }) => {
    service(EventService, {
      async *watchLocks(request, { signal }) {
        const queue: { message?: Message; error?: unknown }[] = [];
        let wake = () => {};
        const push = (entry: (typeof queue)[number]) => {
          queue.push(entry);
          wake();
        };
        signal.addEventListener("abort", () => push({ error: signal.reason }));
        streams.push({ request, send: (message) => push({ message }), end: (error) => push({ error }) });
        for (;;) {
          const next = queue.shift();
          if (next?.message) yield create(WatchLocksResponseSchema, next.message);
          else if (next?.error) throw next.error;
          else if (next) return;
          else {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
        }
      },
    });
  });
  const locks = followLocks(createClient(EventService, transport), {
    maxStaleMs: 30_000,
    clock: createServerClock(),
    signal: stop.signal,
    ...options,
    listener: {
      onDenied: ({ userId, cause }) => seen.push(`${cause} ${userId}`),
      onAdmitted: (userId) => seen.push(`admitted ${userId}`),
      onChange: () => {},
      onGap: () => seen.push("gap"),
      onFresh: () => seen.push("fresh"),
      onStale: () => seen.push("stale"),
      onEnd: ({ code }) => seen.push(`end ${Code[code]}`),
    },
  });
  /** The stream that the guard opened as the nth. */
  const stream = async (number: number) => {
    await eventually(() => streams.length >= number);
    return streams[number - 1] as Opened;
  };
  return { locks, seen, stream };
}

test("the set is fresh once the first snapshot has come, and the changes that were made meanwhile", async () => {
  const { locks, seen, stream } = open();
  const first = await stream(1);
  expect(first.request.after).toBe("");
  first.send(page(["a", "b"], false));
  await eventually(() => locks.size === 2);
  expect([locks.isFresh(), locks.isWhole()]).toEqual([false, false]);
  first.send(page(["c"], true));
  first.send(change("d", true, "4"));
  first.send(change("b", false, "5"));
  await eventually(() => locks.isDenied("d"));
  expect(locks.isFresh()).toBe(false);
  first.send(current("5"));
  await eventually(() => locks.isFresh());
  expect(["a", "b", "c", "d"].map(locks.isDenied)).toEqual([true, false, true, true]);
  expect(seen).toEqual(["fresh"]);
});

test("changes deny and admit users, and a lock that is over by the server's clock ends with the server's change", async () => {
  const { locks, seen, stream } = open();
  const first = await stream(1);
  first.send(page([], true));
  first.send(current("1"));
  first.send(change("a", true, "2"));
  first.send(change("b", true, "3", Date.now() + 60_000));
  first.send(change("c", true, "4", Date.now() - 1));
  first.send(change("a", true, "5"));
  first.send(change("a", false, "6"));
  first.send(change("z", false, "7"));
  await eventually(() => seen.includes("admitted a"));
  expect(["a", "b", "c", "z"].map(locks.isDenied)).toEqual([false, true, true, false]);
  first.send(change("c", false, "8"));
  await eventually(() => !locks.isDenied("c"));
  expect(seen).toEqual(["fresh", "locked a", "locked b", "locked c", "admitted a", "admitted c"]);
});

test("a lock that is over by the server's clock denies nobody once the set is stale", async () => {
  const { locks, seen, stream } = open({ maxStaleMs: 100 });
  const first = await stream(1);
  first.send(page([], true));
  first.send(current("1"));
  first.send(change("a", true, "2", Date.now() - 1));
  first.send(change("b", true, "3", Date.now() + 60_000));
  await eventually(() => locks.isDenied("b"));
  expect(locks.isDenied("a")).toBe(true);
  await eventually(() => seen.includes("stale"));
  expect(["a", "b"].map(locks.isDenied)).toEqual([false, true]);
});

test("a stream that ends is resumed after its last cursor, also after one without a change", async () => {
  const { locks, seen, stream } = open();
  const first = await stream(1);
  first.send(page(["a"], true));
  first.send(current("1"));
  first.send(current("4"));
  await eventually(() => locks.isFresh());
  await sleep(1);
  first.end(new ConnectError("restarting", Code.Unavailable));
  const second = await stream(2);
  expect(second.request.after).toBe("4");
  second.send({});
  second.send(change("b", true, "5"));
  second.send(current("5"));
  await eventually(() => locks.isDenied("b"));
  expect(locks.isDenied("a")).toBe(true);
  expect(seen).toEqual(["fresh", "end Unavailable", "locked b"]);
});

test("an invalid cursor leads to a new snapshot, which replaces the set at once when it is whole", async () => {
  const { locks, seen, stream } = open();
  const first = await stream(1);
  first.send(page(["a", "b"], true));
  first.send(current("9"));
  await eventually(() => locks.isFresh());
  first.end(new ConnectError("restarting", Code.Unavailable));
  (await stream(2)).end(new ConnectError("not a cursor", Code.InvalidArgument));
  const third = await stream(3);
  expect(third.request.after).toBe("");
  third.send(page(["b", "c"], false));
  await eventually(() => locks.isDenied("c"));
  // Nobody is admitted before the snapshot is whole; newly denied users are refused already.
  expect(locks.isDenied("a")).toBe(true);
  third.send(page(["d"], true));
  // Of the changes during the snapshot, the first ones are older than the set.
  third.send(change("a", false, "1"));
  third.send(change("d", false, "2"));
  third.send(change("d", true, "3"));
  await eventually(() => locks.isDenied("d"));
  expect(locks.isDenied("a")).toBe(true);
  third.send(current("3"));
  await eventually(() => !locks.isDenied("a"));
  expect(["b", "c", "d"].map(locks.isDenied)).toEqual([true, true, true]);
  expect(locks.size).toBe(3);
  expect(seen).toEqual(["fresh", "end Unavailable", "end InvalidArgument", "locked c", "locked d", "gap"]);
});

test("a snapshot that is cut leaves the set as it was, and begins anew", async () => {
  const { locks, stream } = open();
  const first = await stream(1);
  first.send(page(["a"], false));
  await eventually(() => locks.size === 1);
  first.end(new ConnectError("restarting", Code.Unavailable));
  const second = await stream(2);
  expect(second.request.after).toBe("");
  second.send(page(["b"], true));
  second.send(current("3"));
  await eventually(() => locks.isFresh());
  expect(["a", "b"].map(locks.isDenied)).toEqual([false, true]);
});

test("without a sign of life the set is stale, and the next stream resumes until it is current again", async () => {
  const { locks, seen, stream } = open({ maxStaleMs: 60, silenceMs: 120 });
  const first = await stream(1);
  first.send(page(["a"], true));
  first.send(current("1"));
  await eventually(() => seen.includes("stale"));
  expect([locks.isFresh(), locks.isWhole(), locks.isDenied("a")]).toEqual([false, true, true]);
  // The silent stream is given up.
  const second = await stream(2);
  expect(second.request.after).toBe("1");
  second.send(change("b", true, "2"));
  await eventually(() => locks.isDenied("b"));
  expect(locks.isFresh()).toBe(false);
  second.send(current("2"));
  await eventually(() => seen.filter((each) => each === "fresh").length === 2);
});

test("messages of a server that cannot read the log keep neither the set fresh nor the stream open", async () => {
  const { locks, seen, stream } = open({ maxStaleMs: 60, silenceMs: 120 });
  const first = await stream(1);
  first.send(page([], true));
  first.send(current("1"));
  await eventually(() => locks.isFresh());
  const alive = setInterval(() => first.send({}), 10);
  await eventually(() => seen.includes("stale"));
  expect((await stream(2)).request.after).toBe("1");
  clearInterval(alive);
});

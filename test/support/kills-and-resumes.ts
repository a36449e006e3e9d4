import { setTimeout as sleep } from "node:timers/promises";
import type { Owner } from "../../src/domain/access.ts";
import type { EventStore, RecordedEvent } from "../../src/store/port.ts";
import { change, readAll } from "./appends.ts";
import { inOrganization } from "./logins.ts";
import { type ServerProcess, startServer } from "./server-process.ts";
import { openWatchDoors, type WatchDoor, type WatchOptions } from "./watch-doors.ts";

const EVENTS = 10_000;
/** Appends that are made at once. */
const AT_ONCE = 50;
const KILLS = 2;
/** Short, so that those whose filter lets little through move on, too; milliseconds. */
const HEARTBEAT_MS = 200;

type Request = Parameters<WatchDoor["watch"]>[0];

/** What each watches, with what passes. */
const FILTERS: [request: Request, passes: (event: RecordedEvent) => boolean][] = [
  [{}, () => true],
  [inOrganization("acme"), ({ owner }) => owner.id === "acme"],
  [{ types: ["user.locked"] }, ({ type }) => type === "user.locked"],
];

/** Somebody who watches for as long as it takes, over one connection after another. */
interface Follower {
  name: string;
  cursors: string[];
  connections: number;
  passes(event: RecordedEvent): boolean;
  following: Promise<void>;
}

/**
 * A server that is killed while the log grows, and watchers of every protocol who lose their connections besides: in the
 * end each has what passes his filter, in order, once. `openStore` gives a store that the test writes to beside the
 * server, and `store` is what USERLOCK_STORE says of the same one.
 */
export async function killsAndResumes({
  store: storeUrl,
  openStore,
  options = {},
}: {
  store: string;
  openStore: () => Promise<EventStore>;
  options?: WatchOptions;
}): Promise<void> {
  const start = (listen: string) =>
    startServer({ USERLOCK_STORE: storeUrl, USERLOCK_LISTEN: listen }, { heartbeatMs: HEARTBEAT_MS });
  let server: ServerProcess = await start("127.0.0.1:0");
  const { url } = server;
  const store = await openStore();
  const doors = openWatchDoors(url);
  const done = new AbortController();
  try {
    const followers = doors.flatMap((door) => FILTERS.map((filter) => follow(door, filter, options, done.signal)));
    const kills = Array.from({ length: KILLS }, (_, index) => Math.floor(((index + 1) * EVENTS) / (KILLS + 1)));
    for (let made = 0; made < EVENTS; made += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => append(store, made + index)));
      if (made <= kills[0]! && made + AT_ONCE > kills[0]!) {
        kills.shift();
        await server.stop("SIGKILL");
        // The log goes on growing meanwhile, as by another server of the store.
        await Promise.all([start(new URL(url).host), append(store, EVENTS + made)]).then(([started]) => {
          server = started;
        });
      }
      await sleep(5);
    }

    const log = await readAll(store);
    for (const { name, cursors, passes } of followers) {
      const expected = log.filter(passes).map(({ cursor }) => cursor);
      for (let waited = 0; cursors.length < expected.length && waited < 20_000; waited += 20) await sleep(20);
      expect({ name, cursors }).toEqual({ name, cursors: expected });
    }
    done.abort();
    await Promise.all(followers.map(({ following }) => following));
    // Everybody was thrown out more often than by the kills alone.
    expect(Math.min(...followers.map(({ connections }) => connections))).toBeGreaterThan(KILLS + 2);
  } finally {
    done.abort();
    for (const door of doors) door.close();
    await store.close();
    await server.stop();
  }
}

async function append(store: EventStore, number: number): Promise<void> {
  const owner: Owner = number % 3 === 0 ? { type: "org", id: "acme" } : { type: "instance", id: "default" };
  const data = { cause: "manual", reason: "fraud", note: `event ${number}` };
  const type = number % 2 === 0 ? "user.locked" : "user.patched";
  const { outcome } = await store.append(
    change(`u${number}`, { owner, userId: `u${number}`, events: [{ type, data }] }),
  );
  expect(outcome).toBe("appended");
}

function follow(
  door: WatchDoor,
  [request, passes]: (typeof FILTERS)[number],
  options: WatchOptions,
  done: AbortSignal,
) {
  const cursors: string[] = [];
  const follower: Omit<Follower, "following"> = {
    name: `${door.name}, ${JSON.stringify(request)}`,
    cursors,
    connections: 0,
    passes,
  };
  async function run(): Promise<void> {
    let after = "0";
    while (!done.aborted) {
      const stream = door.watch({ ...request, after }, options);
      const lost = setTimeout(stream.cancel, 100 + 900 * Math.random());
      done.addEventListener("abort", stream.cancel);
      const { code } = await stream.ended;
      clearTimeout(lost);
      follower.connections++;
      cursors.push(...stream.events().map(({ cursor }) => cursor));
      after = stream.messages.at(-1)?.cursor ?? after;
      // While the server is down.
      if (code !== "OK") await sleep(50);
    }
  }
  return Object.assign(follower, { following: run() }) satisfies Follower;
}

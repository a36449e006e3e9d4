import { setTimeout as sleep } from "node:timers/promises";
import type { Owner } from "../../../src/domain/access.ts";
import type { EventStore, RecordedEvent } from "../../../src/store/port.ts";
import { inOrganization } from "../logins.ts";
import { QUICK, type ServerProcess, startServer } from "../servers/server-process.ts";
import { change, NOW, readAll } from "../stores/appends.ts";
import { SHARED_KEY } from "../stores/stores.ts";
import { openWatchDoors, type WatchDoor } from "./watch-doors.ts";

const EVENTS = 4_000;
/** The number of concurrent appends. */
const AT_ONCE = 50;
/** The numbers of events after which the server is killed. */
const KILLS_AT = [1_200, 2_400];
/** Milliseconds. Short, so that the cursors of narrow filters advance too. */
const HEARTBEAT_MS = 200;

type Request = Parameters<WatchDoor["watch"]>[0];

/** A request to watch, with the events that match it. */
type Filter = [request: Request, passes: (event: RecordedEvent) => boolean];

const EVERYTHING: Filter = [{}, () => true];
const NARROW: Filter[] = [
  [inOrganization("acme"), ({ owner }) => owner.id === "acme"],
  [{ types: ["user.locked"] }, ({ type }) => type === "user.locked"],
];

/** A watcher that reconnects until the test ends. */
interface Follower {
  name: string;
  cursors: string[];
  connections: number;
  passes(event: RecordedEvent): boolean;
  following: Promise<void>;
}

/**
 * Starts two servers of one store, and kills one of them repeatedly while the log grows. Watchers of every protocol
 * lose their connections and change servers. In the end each has every matching event once, in order. The test writes
 * to the store beside the servers.
 */
export async function killsAndResumes(url: string, store: EventStore): Promise<void> {
  const start = (listen = "127.0.0.1:0") =>
    startServer(
      { ...SHARED_KEY, USERLOCK_STORE: url, USERLOCK_LISTEN: listen },
      { ...QUICK, heartbeatMs: HEARTBEAT_MS },
    );
  let mortal: ServerProcess = await start();
  const other = await start();
  const doors = [mortal, other].map((server) => openWatchDoors(server.url));
  const done = new AbortController();
  try {
    const [first, second] = doors as [WatchDoor[], WatchDoor[]];
    const followers = first.flatMap((door, index) => {
      const both = [door, second[index] as WatchDoor] as const;
      return [EVERYTHING, NARROW[index % NARROW.length] as Filter].map((filter) => follow(both, filter, done.signal));
    });
    for (let made = 0; made < EVENTS; made += AT_ONCE) {
      await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => append(store, made + index)));
      if (KILLS_AT.includes(made)) {
        await mortal.stop("SIGKILL");
        // The log continues to grow during the restart.
        const [started] = await Promise.all([start(new URL(mortal.url).host), append(store, EVENTS + made)]);
        mortal = started;
      }
      await sleep(5);
    }
    // Every watcher reconnects more often than the kills alone require.
    const least = () => Math.min(...followers.map(({ connections }) => connections));
    while (least() <= KILLS_AT.length + 2) await sleep(20);

    const log = await readAll(store);
    expect(log.length).toBeGreaterThanOrEqual(EVENTS);
    for (const { name, cursors, passes } of followers) {
      const expected = log.filter(passes).map(({ cursor }) => cursor);
      for (let waited = 0; cursors.length < expected.length && waited < 60_000; waited += 20) await sleep(20);
      expect({ name, cursors }).toEqual({ name, cursors: expected });
    }
    done.abort();
    await Promise.all(followers.map(({ following }) => following));
  } finally {
    done.abort();
    for (const door of doors.flat()) door.close();
    await Promise.all([mortal.stop(), other.stop()]);
  }
}

async function append(store: EventStore, number: number): Promise<void> {
  const owner: Owner = number % 3 === 0 ? { type: "org", id: "acme" } : { type: "instance", id: "default" };
  const data = { cause: "manual", reason: "fraud", note: `event ${number}`, since: NOW };
  const type = number % 2 === 0 ? "user.locked" : "user.patched";
  const { outcome } = await store.append(
    change(`u${number}`, { owner, userId: `u${number}`, events: [{ type, data }] }),
  );
  expect(outcome).toBe("appended");
}

function follow(doors: readonly [WatchDoor, WatchDoor], [request, passes]: Filter, done: AbortSignal): Follower {
  const cursors: string[] = [];
  const follower: Omit<Follower, "following"> = {
    name: `${doors[0].name}, ${JSON.stringify(request)}`,
    cursors,
    connections: 0,
    passes,
  };
  async function run(): Promise<void> {
    let after = "0";
    while (!done.aborted) {
      const door = doors[follower.connections % 2] as WatchDoor;
      const stream = door.watch({ ...request, after });
      const lost = setTimeout(stream.cancel, 100 + 900 * Math.random());
      done.addEventListener("abort", stream.cancel);
      const { code } = await stream.ended;
      clearTimeout(lost);
      follower.connections++;
      cursors.push(...stream.events().map(({ cursor }) => cursor));
      after = stream.messages.at(-1)?.cursor ?? after;
      // The server may be down.
      if (code !== "OK") await sleep(50);
    }
  }
  return Object.assign(follower, { following: run() });
}

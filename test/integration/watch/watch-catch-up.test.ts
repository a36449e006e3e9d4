// Proves that watchers who catch up on a long log do not delay others.
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { asOwner, ok } from "../../support/logins.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { change, NOW } from "../../support/stores/appends.ts";
import { type EmptyStore, openStoreAt, SHARED_KEY, STORES } from "../../support/stores/stores.ts";

const { createUser, lockUser, unlockUser } = UserService.method;
const EVENTS = 10_000;
const WATCHERS = 10;

describe.each(STORES)("on %s, with a log of 10,000 events", (_, makeStore) => {
  let place: EmptyStore;
  let server: ServerProcess;
  let doors: Door[] = [];

  beforeAll(async () => {
    place = await makeStore();
    const store = await openStoreAt(place.url);
    const events = Array.from({ length: 100 }, () => ({ type: "user.login_failed", data: {} }));
    const owner = { type: "org", id: "acme" } as const;
    const appends = Array.from({ length: EVENTS / 100 }, (_, n) => change(`u${n}`, { events, owner, time: NOW }));
    await Promise.all(appends.map((append) => store.append(append)));
    await store.close();
    server = await startServer({ ...SHARED_KEY, USERLOCK_STORE: place.url });
    doors = openDoors(server.url);
  });
  afterAll(async () => {
    for (const door of doors) door.close();
    await server.stop();
    await place.remove();
  });

  const grpc = () => doors.find(({ name }) => name === "gRPC, UserService") as Door;
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
  const watch = (query: string, signal: AbortSignal) =>
    fetch(`${server.url}/resources/v3alpha/events/_watch?${query}`, { headers, signal });

  /** Counts the events of a stream until it has all of them. */
  async function follow(signal: AbortSignal): Promise<number> {
    const response = await watch("after=0&types=user.login_failed", signal);
    let [events, rest] = [0, ""];
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() as string;
      events += lines.filter((line) => line.startsWith("data: ")).length;
      if (events >= EVENTS) break;
    }
    return events;
  }

  test("ten concurrent watchers get the whole log, and locks and other calls are served in the meantime", async () => {
    ok(await grpc().call(createUser, { user: { userId: "victim" } }, asOwner));
    const stop = new AbortController();
    let isRead = false;
    const following = Promise.all(Array.from({ length: WATCHERS }, () => follow(stop.signal))).finally(() => {
      isRead = true;
    });
    const times: number[] = [];
    while (!isRead) {
      const start = performance.now();
      ok(await grpc().call(lockUser, { id: "victim" }, asOwner));
      ok(await grpc().call(unlockUser, { id: "victim" }, asOwner));
      expect((await fetch(`${server.url}/healthz`)).ok).toBe(true);
      times.push(performance.now() - start);
    }
    expect(await following).toEqual(Array(WATCHERS).fill(EVENTS));
    stop.abort();
    // The three calls may be slow on a busy machine, but they must not wait for the readers.
    expect(times.length).toBeGreaterThan(5);
    expect(Math.max(...times)).toBeLessThan(3_000);
  });

  test("a new watcher does not wait for 1,000 watchers who have left", async () => {
    const leaving = Array.from({ length: 1_000 }, async () => {
      await watch("after=0&types=lockout_policy.reset", AbortSignal.timeout(300)).catch(() => {});
    });
    await Promise.all(leaving);
    const start = performance.now();
    const response = await watch("after=0&types=lockout_policy.reset", AbortSignal.timeout(10_000));
    const { value } = await response.body!.getReader().read();
    expect(Buffer.from(value!).toString()).toContain("id: 0");
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});

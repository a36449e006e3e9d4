// Proves that a server that is killed under load loses no answered change.
import { State, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import type { Aggregate, DomainEvent } from "../../../src/domain/aggregate.ts";
import { accessToken } from "../../../src/domain/token.ts";
import { user } from "../../../src/domain/user.ts";
import type { EventStore, RecordedEvent } from "../../../src/store/port.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { ADMIN_TOKEN, QUICK, startServer } from "../../support/servers/server-process.ts";
import { readAll } from "../../support/stores/appends.ts";
import { openStoreAt, SHARED_KEY, STORES } from "../../support/stores/stores.ts";
import { shutUnderLoad } from "../../support/workload.ts";

const { getUser } = UserService.method;
const CRASHES = 12;
const WORKERS = 24;
const asOwner = { token: ADMIN_TOKEN };

const AGGREGATES: Record<string, Aggregate<unknown, unknown, DomainEvent>> = Object.fromEntries(
  [user, accessToken].map((aggregate) => [aggregate.kind, aggregate as never]),
);

/** Checks that every stream is the fold of its events, and that its claims lead to it. */
async function expectConsistent(store: EventStore, log: readonly RecordedEvent[]): Promise<void> {
  for (const [key, events] of Map.groupBy(log, ({ kind, id }) => JSON.stringify([kind, id]))) {
    const [kind, id] = JSON.parse(key) as [string, string];
    const aggregate = AGGREGATES[kind];
    if (!aggregate) continue;
    let state: unknown;
    for (const event of events) state = aggregate.evolve(state, event, event);
    expect(events.map(({ version }) => version)).toEqual(events.map((_, index) => index + 1));
    const stream = await store.load(kind, id);
    expect(stream).toEqual({
      kind,
      id,
      version: events.length,
      owner: aggregate.owner(state),
      created: events[0]?.time,
      changed: events.at(-1)?.time,
      state,
    });
    for (const claim of aggregate.claims(state)) expect(await store.loadByClaim(claim)).toEqual(stream);
  }
}

test.concurrent.each(STORES)(
  `on %s a server that is killed under load ${CRASHES} times keeps every answered change once`,
  async (_name, makeStore) => {
    const place = await makeStore();
    const store = await openStoreAt(place.url);
    const start = () => startServer({ ...SHARED_KEY, USERLOCK_STORE: place.url }, QUICK);
    let server = await start();
    try {
      let cutOff = 0;
      for (let crash = 0; crash < CRASHES; crash++) {
        const { url, stop } = server;
        const loaded = openDoors(url);
        const load = { name: `u${crash}`, workers: WORKERS, afterAnswers: WORKERS * (1 + crash / 3) };
        const accounts = await shutUnderLoad(loaded, load, async () => expect(await stop("SIGKILL")).toBeNull());
        for (const door of loaded) door.close();
        server = await start();

        const log = await readAll(store);
        const doors = openDoors(server.url);
        for (const [worker, { id, answered, pending }] of accounts.entries()) {
          const types = log.filter((event) => event.kind === "user" && event.id === id).map(({ type }) => type);
          expect([answered, [...answered, pending]]).toContainEqual(types);
          cutOff += types.length - answered.length;

          const { code, response } = await (doors[worker % doors.length] as Door).call(getUser, { id }, asOwner);
          expect(code).toBe(types.length > 0 ? "OK" : "NOT_FOUND");
          expect(response?.user?.state === State.USER_STATE_LOCKED).toBe(types.at(-1) === "user.locked");
        }
        for (const door of doors) door.close();
      }
      await expectConsistent(store, await readAll(store));
      // Some kills must come between a commit and its answer, or the test shows nothing.
      expect(cutOff).toBeGreaterThan(0);
    } finally {
      await server.stop("SIGKILL");
      await store.close();
      await place.remove();
    }
  },
  600_000,
);

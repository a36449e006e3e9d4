// Proves that each watcher gets the events that match its filter once, in order.
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import type { WatchQuestion } from "../../../src/app/follow/watch.ts";
import type { EventStore, RecordedEvent } from "../../../src/store/port.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { readAll, until } from "../../support/stores/appends.ts";
import { happen, orgOf, VIEWER, type Watching, watchersOf } from "../../support/watch/watching.ts";

/** One step of a random run. Steps can overlap. */
type Act =
  | { act: "append"; count: number; organization: string | undefined; type: string }
  /** A change of the watchers' own user, after which they are authenticated again. */
  | { act: "touch" }
  /** Starts at the present, or after the event at this place in the log. */
  | { act: "join"; after: number | undefined; question: Partial<WatchQuestion> }
  /** A watcher loses the connection, and resumes with the last cursor. */
  | { act: "reconnect"; who: number }
  | { act: "turns"; count: number };

const TYPES = ["user.locked", "user.unlocked"];

const acts: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      act: fc.constant("append" as const),
      count: fc.integer({ min: 1, max: 5 }),
      organization: fc.constantFrom(undefined, "a"),
      type: fc.constantFrom(...TYPES),
    }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant("touch" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      act: fc.constant("join" as const),
      after: fc.option(fc.nat(40), { nil: undefined }),
      question: fc.constantFrom({}, { organization: "a" }, { types: ["user.locked"] }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ act: fc.constant("reconnect" as const), who: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant("turns" as const), count: fc.integer({ min: 1, max: 8 }) }) },
);

/** The same store with answers that are delayed by event-loop turns, and with some lost hints. */
function unsteady(store: EventStore, turns: number[], hints: boolean[]): EventStore {
  let [calls, appends] = [0, 0];
  async function late<Result>(answer: Promise<Result>): Promise<Result> {
    const wait = turns[calls++ % turns.length] as number;
    const result = await answer;
    for (let turn = 0; turn < wait; turn++) await nextTurn();
    return result;
  }
  return {
    ...store,
    head: () => late(store.head()),
    read: (query) => late(store.read(query)),
    onAppend: (listener) => store.onAppend(() => hints[appends++ % hints.length] && listener()),
  };
}

/** A watcher that may use several connections. */
interface Reader {
  question: Partial<WatchQuestion>;
  from: string;
  connections: Watching[];
}

const passes = ({ organization, types }: Partial<WatchQuestion>, { owner, type }: RecordedEvent) =>
  (organization === undefined || owner.id === organization) && (!types || types.includes(type));

test("each watcher gets each matching event after its cursor once, in order, in 100 random runs", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(acts, { maxLength: 40 }),
      fc.array(fc.nat(6), { minLength: 1, maxLength: 10 }),
      fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
      async (sequence, turns, hints) => {
        const store = await openSqliteStore(":memory:", "default");
        const watch = watchersOf(unsteady(store, turns, hints), { pollMs: 2 });
        const readmit = async () => {
          for (let turn = 0; turn < (turns[0] as number); turn++) await nextTurn();
          return VIEWER;
        };
        const readers: Reader[] = [];
        const appends: Promise<void>[] = [];
        let touched = 0;
        await happen(store);

        for (const step of sequence) {
          if (step.act === "append") {
            const owner = step.organization === undefined ? {} : { owner: orgOf(step.organization) };
            for (let n = 0; n < step.count; n++) appends.push(happen(store, { type: step.type, ...owner }));
          } else if (step.act === "touch") {
            appends.push(happen(store, { id: VIEWER.subject, type: "user.patched", expectedVersion: touched++ }));
          } else if (step.act === "join") {
            const log = await readAll(store);
            const from = step.after === undefined ? undefined : (log[step.after]?.cursor ?? "0");
            const connection = watch({ ...step.question, ...(from !== undefined && { after: from }) }, { readmit });
            if (from === undefined) await until(() => connection.handed.length > 0);
            const began = from ?? (connection.handed[0]?.cursor as string);
            readers.push({ question: step.question, from: began, connections: [connection] });
          } else if (step.act === "reconnect") {
            const reader = readers[step.who % readers.length];
            if (!reader) continue;
            await reader.connections.at(-1)?.leave();
            const after = reader.connections.findLast(({ handed }) => handed.length > 0)?.last() ?? reader.from;
            reader.connections.push(watch({ ...reader.question, after }, { readmit }));
          } else for (let turn = 0; turn < step.count; turn++) await nextTurn();
        }

        await Promise.all(appends);
        const log = await readAll(store);
        for (const { question, from, connections } of readers) {
          const expected = log.filter((event) => event.cursor > from && passes(question, event));
          const got = () => connections.flatMap((connection) => connection.events());
          await until(() => got().length >= expected.length);
          expect(got()).toEqual(expected.map(({ cursor }) => cursor));
        }
        // No watcher gets more later.
        const before = readers.map(({ connections }) => connections.at(-1)?.events().length);
        await sleep(5);
        expect(readers.map(({ connections }) => connections.at(-1)?.events().length)).toEqual(before);
        await Promise.all(readers.map(({ connections }) => connections.at(-1)?.leave()));
        await store.close();
      },
    ),
    { numRuns: 100 },
  );
}, 240_000);

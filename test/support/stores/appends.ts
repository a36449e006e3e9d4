import { setTimeout as sleep } from "node:timers/promises";
import type { Append, AppendResult, EventStore, Receipt, RecordedEvent } from "../../../src/store/port.ts";

/** Microseconds since the Unix epoch. */
export const NOW = 1_764_000_000_123_456;

/** A change of a stream, by one event unless `more` has others. */
export function change(id: string, more: Partial<Append> = {}): Append {
  return {
    kind: "user",
    id,
    expectedVersion: 0,
    events: [{ type: "user.created", data: { id } }],
    time: NOW,
    actor: { subject: "operator" },
    owner: { type: "instance", id: "default" },
    state: { id },
    claims: { add: [], remove: [] },
    requires: [],
    ...more,
  };
}

/** A change that adds and removes claims of the stream. */
export const claiming = (id: string, add: string[], remove: string[] = [], expectedVersion = 0) =>
  change(id, { expectedVersion, claims: { add, remove } });

/** A receipt that expires after a minute. */
export const receipt = (key: string, more: Partial<Receipt> = {}): Receipt => ({
  key,
  fingerprint: `request of ${key}`,
  answer: Buffer.from(`answer to ${key}`),
  expires: NOW + 60_000_000,
  ...more,
});

export const outcomeOf = ({ outcome }: AppendResult) => outcome;
export const outcomesOf = async (appends: Promise<AppendResult>[]) => (await Promise.all(appends)).map(outcomeOf);

export async function versionOf(store: EventStore, id: string): Promise<number | undefined> {
  return (await store.load("user", id))?.version;
}

export async function holderOf(store: EventStore, claim: string): Promise<string | undefined> {
  return (await store.loadByClaim(claim))?.id;
}

/** The whole log after the cursor, read page by page. */
export async function readAll(store: EventStore, limit = 1_000, after?: string): Promise<RecordedEvent[]> {
  const all: RecordedEvent[] = [];
  for (let from = after; ; ) {
    const { events, cursor } = await store.read({ from, limit });
    all.push(...events);
    if (events.length === 0) return all;
    if (cursor === from) throw new Error("the cursor did not advance");
    from = cursor;
  }
}

export const inShort = (events: RecordedEvent[]) => events.map(({ id, version }) => `${id} ${version}`);

/** Reads page by page until the writers have finished and the log has no more events. */
export async function readWhile(
  store: EventStore,
  writers: Promise<unknown>[],
  limit: number,
): Promise<RecordedEvent[]> {
  let writing = true;
  const done = Promise.all(writers).then(() => {
    writing = false;
  });
  const all: RecordedEvent[] = [];
  let cursor: string | undefined;
  for (;;) {
    const isLast = !writing;
    const page = await store.read({ from: cursor, limit });
    all.push(...page.events);
    if (page.events.length > 0 && page.cursor === cursor) throw new Error("the cursor did not advance");
    cursor = page.cursor;
    if (page.events.length === 0 && isLast) break;
    await sleep(0);
  }
  await done;
  return all;
}

/** Waits until the condition is true, and fails after 30 seconds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let waited = 0; !(await condition()) && waited < 30_000; waited += 5) await sleep(5);
  expect(await condition()).toBe(true);
}

import { type UserCommand, user } from "../../src/domain/user.ts";
import type { User } from "../../src/domain/user-state.ts";
import type { Append, EventStore, StreamRecord } from "../../src/store/port.ts";

/** The number of concurrent appends: ten full commits. */
const AT_ONCE = 10_000;
const ACTOR = { subject: "bench", requestId: "0123456789abcdef01234567", address: "127.0.0.1", userAgent: "bench" };
const OWNER = { type: "instance", id: "default" } as const;

/** The append that a command on the user leads to. */
export function toAppend(id: string, before: StreamRecord | undefined, command: UserCommand): Append {
  const occasion = { time: Math.max(Date.now() * 1_000, before?.changed ?? 0), actor: ACTOR };
  let state = before?.state as User | undefined;
  const events = user.decide(state, command, occasion);
  for (const event of events) state = user.evolve(state, event, occasion);
  return {
    kind: user.kind,
    id,
    expectedVersion: before?.version ?? 0,
    events,
    userId: id,
    time: occasion.time,
    actor: ACTOR,
    owner: OWNER,
    state,
    claims: { add: [], remove: [] },
    requires: [],
  };
}

export const toCreate = (id: string) =>
  toAppend(id, undefined, { type: "create", id, owner: OWNER, profile: {}, usernames: [] });
export const toLock = (record: StreamRecord) =>
  toAppend(record.id, record, { type: "lock", reason: "bench", note: "" });
export const toUnlock = (record: StreamRecord) => toAppend(record.id, record, { type: "unlock" });

/** The stream after this append, for the next one. */
export function recordOf({ kind, id, expectedVersion, owner, time, state, events }: Append): StreamRecord {
  return { kind, id, version: expectedVersion + events.length, owner, created: time, changed: time, state };
}

/** Appends all, and resolves with the records and the time in milliseconds. */
export async function appendAll(
  store: EventStore,
  appends: readonly Append[],
): Promise<{ records: StreamRecord[]; time: number }> {
  const records: StreamRecord[] = [];
  const started = performance.now();
  for (let at = 0; at < appends.length; at += AT_ONCE) {
    const some = appends.slice(at, at + AT_ONCE);
    for (const result of await Promise.all(some.map(store.append))) {
      if (result.outcome !== "appended") throw new Error(`an append was refused: ${result.outcome}`);
    }
    records.push(...some.map(recordOf));
  }
  return { records, time: performance.now() - started };
}

import { type Caller, createExecute, type Execute } from "../../../src/app/execute.ts";
import type { Owner } from "../../../src/domain/access.ts";
import { type UserCommand, user } from "../../../src/domain/user.ts";
import type { EventStore, RecordedEvent } from "../../../src/store/port.ts";
import { readAll } from "../stores/appends.ts";

export const INSTANCE: Owner = { type: "instance", id: "default" };

/** A caller with all permissions in the instance. */
export const callerOf = (subject: string, signal = new AbortController().signal): Caller => ({
  principal: { subject, grants: [{ role: "INSTANCE_OWNER" }] },
  actor: { subject },
  signal,
});

/** A clock in microseconds that the test sets. */
export interface HandClock {
  (): number;
  set(time: number): void;
}

export function handClock(start: number): HandClock {
  let now = start;
  return Object.assign(() => now, {
    set(time: number) {
      now = time;
    },
  });
}

/** Shortcuts to change users in a store. */
export function usersIn(store: EventStore, clock: () => number) {
  const execute: Execute = createExecute({ store, clock });
  return {
    execute,
    async add(id: string, password?: string): Promise<void> {
      const command: UserCommand = {
        type: "create",
        id,
        owner: INSTANCE,
        profile: {},
        usernames: [],
        ...(password !== undefined && { password: { hash: password, changeRequired: false } }),
      };
      await execute(user, { id, command, permission: "user.write", newOwner: INSTANCE }, callerOf("operator"));
    },
    do: (id: string, command: UserCommand, by = "operator") =>
      execute(user, { id, command, permission: "user.write" }, callerOf(by)),
    lock: (id: string, end: { until?: number } = {}) =>
      execute(
        user,
        { id, command: { type: "lock", reason: "fraud", note: "", ...end }, permission: "user.write" },
        callerOf("operator"),
      ),
    /** The events of all users or of one. */
    async log(id?: string): Promise<RecordedEvent[]> {
      return (await readAll(store)).filter((event) => event.kind === user.kind && (id ?? event.id) === event.id);
    },
  };
}

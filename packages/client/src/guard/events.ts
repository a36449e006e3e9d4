/** A user who may no longer act. */
export interface Denial {
  userId: string;
  cause: "locked" | "inactive" | "deleted";
  /** The end of a lock that has one. */
  until?: Date;
}

/** What a guard reports, with the argument of its listeners. */
export interface GuardEvents {
  /** A user may no longer act: end their sockets and streams. */
  locked: Denial;
  /** A user may act again. */
  unlocked: { userId: string };
  /** The server has not said for `maxStaleMs` that the set is current. */
  stale: undefined;
  /** The set of denied users is whole and current. */
  fresh: undefined;
}

/** Adds a listener, and returns a function that removes it. */
export type On = <Name extends keyof GuardEvents>(
  name: Name,
  listener: (event: GuardEvents[Name]) => void,
) => () => void;

/** Calls the listeners, as `callSafely` does. */
export type Emit = <Name extends keyof GuardEvents>(name: Name, event: GuardEvents[Name]) => void;

/** Creates the two ends of a guard's events. */
export function createEmitter(): { on: On; emit: Emit } {
  const listeners = new Map<string, Set<(event: never) => void>>();
  return {
    on(name, listener) {
      const all = listeners.get(name) ?? new Set();
      listeners.set(name, all.add(listener));
      return () => all.delete(listener);
    },
    emit(name, event) {
      for (const listener of listeners.get(name) ?? []) {
        callSafely(listener as (event: unknown) => void, event);
      }
    },
  };
}

/**
 * Calls a function of the app. What it throws does not reach the guard: it is an uncaught exception of the app, as in a
 * listener of an EventTarget.
 */
export function callSafely<Args extends unknown[]>(
  callback: ((...args: Args) => unknown) | undefined,
  ...args: Args
): void {
  try {
    callback?.(...args);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

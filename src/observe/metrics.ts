import { observeAuthz } from "./authz.ts";
import { observeCalls } from "./calls.ts";
import { observeEvents } from "./events.ts";
import { createMeters } from "./meters.ts";
import type { Observers } from "./observers.ts";
import { observePasswords } from "./passwords.ts";
import { observeProcess } from "./process.ts";
import { observeStore } from "./store.ts";
import { observeStreams } from "./streams.ts";

/**
 * Creates all metrics, and the observers that feed them. No label has a user, an organization, an address or a token,
 * because each value of a label is a series that Prometheus keeps.
 */
export function createMetrics(about: { version: string; store: string }, clock: () => number) {
  const meters = createMeters();
  const calls = observeCalls(meters);
  const authz = observeAuthz(meters);
  const events = observeEvents(meters);
  const passwords = observePasswords(meters);
  const store = observeStore(meters, about.store);
  const streams = observeStreams(meters, clock);
  const { begin, end } = observeProcess(meters, about);
  const observers: Observers = {
    ...calls,
    calls: [...calls.calls, authz],
    ...events,
    ...passwords,
    ...store,
    ...streams,
    onServing(server) {
      begin();
      store.onServing(server);
    },
  };
  return { observers, all: meters.all, show: meters.show, close: end };
}

import { observeCalls } from "./calls.ts";
import { createMeters } from "./meters.ts";
import type { Observers } from "./observers.ts";
import { observeProcess } from "./process.ts";

/**
 * Creates all metrics, and the observers that feed them. No label has a user, an organization, an address or a token,
 * because each value of a label is a series that Prometheus keeps.
 */
export function createMetrics(about: { version: string; store: string }) {
  const meters = createMeters();
  const observers: Observers = { calls: [observeCalls(meters)] };
  const close = observeProcess(meters, about);
  return { observers, all: meters.all, show: meters.show, close };
}

import type { CallObserver } from "../rpc/observer.ts";

/** What sees the work of the server. */
export interface Observers {
  calls: readonly CallObserver[];
}

/** The observers of a server without an admin listener. They cost nothing. */
export const UNOBSERVED: Observers = { calls: [] };

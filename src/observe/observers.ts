import type { AppendListener } from "../app/execute.ts";
import type { Watch } from "../app/follow/watch.ts";
import type { HashQueue, PasswordHasher } from "../app/hash-queue.ts";
import type { LoginOutcome } from "../app/login.ts";
import type { ReceiptsOf } from "../app/receipts.ts";
import type { CallObserver } from "../rpc/observer.ts";
import type { EventStore, StoreObserver } from "../store/port.ts";

/** What a running server can say of itself. */
export interface Serving {
  store: EventStore;
  isReady: () => Promise<boolean>;
}

/**
 * What sees the work of the server. A function that takes a part and returns one puts its measurement around the part,
 * which knows nothing of it.
 */
export interface Observers {
  calls: readonly CallObserver[];
  onAppend?: AppendListener | undefined;
  onLogin?: ((outcome: LoginOutcome) => void) | undefined;
  /** Called after each fetch of the keys of the JWTs' issuer. */
  onKeys?: (isFetched: boolean) => void;
  store?: StoreObserver | undefined;
  /** Called before the server serves, with what can be asked at each scrape. */
  onServing(server: Serving): void;
  hasher(hasher: PasswordHasher): PasswordHasher;
  hashQueue(queue: HashQueue): HashQueue;
  receipts(receiptsOf: ReceiptsOf): ReceiptsOf;
  /** The store from which the log is followed. */
  followed(store: EventStore): EventStore;
  watch(watch: Watch): Watch;
}

/** The observers, and before them these further ones of calls, appends, logins and commits. */
export function withMore(
  observers: Observers,
  more: Pick<Observers, "calls" | "onAppend" | "onLogin" | "store">,
): Observers {
  return {
    ...observers,
    calls: [...more.calls, ...observers.calls],
    onAppend: both(more.onAppend, observers.onAppend),
    onLogin: both(more.onLogin, observers.onLogin),
    store: bothStores(more.store, observers.store),
  };
}

function bothStores(first: StoreObserver | undefined, second: StoreObserver | undefined): StoreObserver | undefined {
  if (!first || !second) return first ?? second;
  return {
    committed(...commit) {
      first.committed(...commit);
      second.committed(...commit);
    },
    retried(trouble) {
      first.retried(trouble);
      second.retried(trouble);
    },
  };
}

/** Calls both functions, as far as they are there. */
function both<Rest extends unknown[]>(
  first: ((...rest: Rest) => void) | undefined,
  second: ((...rest: Rest) => void) | undefined,
) {
  if (!first || !second) return first ?? second;
  return (...rest: Rest) => {
    first(...rest);
    second(...rest);
  };
}

const asItIs = <Part>(part: Part): Part => part;

/** The observers of a server without an admin listener. They cost nothing. */
export const UNOBSERVED: Observers = {
  calls: [],
  onServing() {},
  hasher: asItIs,
  hashQueue: asItIs,
  receipts: asItIs,
  followed: asItIs,
  watch: asItIs,
};

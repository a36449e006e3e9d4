import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { backOff, type Connections, newClient } from "./connections.ts";

const CHANNEL = "userlock";
/** How often other servers are told at most, milliseconds. */
const NOTIFY_MS = 5;
/** How soon it is looked again whether what is held back can be read, and the longest wait, milliseconds. */
const SETTLE_MS = { first: 10, longest: 250 };
/** How often it is tried whether the connection still lives, milliseconds. */
const PING_MS = 15_000;
const PING_TIMEOUT_MS = 5_000;
/** How long the server may take to end the connection, milliseconds. */
const END_MS = 1_000;

/** Up to where events can be read (postgres-log.ts), and the last event's place, of one moment. */
interface Settled {
  edge: number;
  last: number | null;
}

/** Hints that there is more of the log to read, of this store and of others. */
export interface Hints {
  /** Tells all who listen, here at once. */
  give(): void;
  listen(listener: () => void): () => void;
  close(): Promise<void>;
}

/**
 * Other servers are told by NOTIFY in a statement of its own: within the transactions that write, its lock would let
 * only one of them commit at a time.
 */
export function createHints(parts: { url: string; connections: Connections; instance: string }): Hints {
  const { url, connections, instance } = parts;
  const listeners = new Set<() => void>();
  const self = randomUUID();
  let notifying: Promise<void> | undefined;
  let isMoreToTell = false;
  let stopListening = new AbortController();
  let listening: Promise<void> | undefined;
  let settling: Promise<void> | undefined;
  let isToLook = false;
  /** Up to here there was a hint after it could be read. */
  let toldTo = 0;

  function tellHere(): void {
    for (const listener of listeners) listener();
  }

  /** Tells here, and again when what cannot be read yet can be. */
  function hintHere(): void {
    if (listeners.size === 0) return;
    tellHere();
    isToLook = true;
    settling ??= tellWhenSettled();
  }

  /**
   * An older transaction, of whoever it is, holds events back that are committed, and nobody tells when it ends: so it
   * is looked for, until nothing is held back.
   */
  async function tellWhenSettled(): Promise<void> {
    for (let wait = SETTLE_MS.first; listeners.size > 0; wait = Math.min(2 * wait, SETTLE_MS.longest)) {
      isToLook = false;
      const [settled] = await connections.run<Settled>(settledStatement(instance)).catch(() => []);
      if (!settled) break; // Whoever reads is told what is wrong.
      const { edge, last } = settled;
      // Those who read at the hint before may have come too early for what has settled since.
      if (last !== null && last >= toldTo && edge > toldTo) tellHere();
      toldTo = Math.max(toldTo, edge);
      if ((last === null || last < edge) && !isToLook) break;
      if (isToLook) wait = SETTLE_MS.first;
      await sleep(wait, undefined, { signal: stopListening.signal, ref: false }).catch(() => {});
    }
    settling = undefined;
  }

  /** Tells the others, and once more if there was more to tell meanwhile. */
  async function tellOthers(): Promise<void> {
    do {
      isMoreToTell = false;
      const statement = { name: "notify", text: "SELECT pg_notify($1, $2)", values: [CHANNEL, `${self} ${instance}`] };
      await connections.run(statement).catch(() => {}); // Only a hint.
      if (isMoreToTell) await sleep(NOTIFY_MS);
    } while (isMoreToTell);
    notifying = undefined;
  }

  /**
   * Listens until the signal is aborted; after each connection, also the first, there is a hint for what was missed.
   */
  async function listenUntil(signal: AbortSignal): Promise<void> {
    for (let attempt = 0; !signal.aborted; ) {
      const client = newClient(url, { query_timeout: PING_TIMEOUT_MS });
      const ended = new Promise<void>((resolve) => {
        client.once("error", () => resolve());
        client.once("end", resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
      client.on("error", () => {}); // It may have more than one to say.
      client.on("notification", ({ payload = "" }) => {
        if (payload.endsWith(` ${instance}`) && !payload.startsWith(self)) hintHere();
      });
      try {
        await client.connect();
        await client.query(`LISTEN ${CHANNEL}`);
        attempt = 0;
        hintHere();
        await Promise.race([ended, untilDead(client, signal)]);
      } catch {
        // The next one may do.
      }
      await Promise.race([client.end().catch(() => {}), sleep(END_MS, undefined, { ref: false })]);
      if (!signal.aborted) await backOff(attempt++, signal);
    }
  }

  return {
    give() {
      hintHere();
      isMoreToTell = true;
      notifying ??= tellOthers();
    },
    listen(listener) {
      // Not the listener itself, for it may be given twice.
      const own = () => listener();
      listeners.add(own);
      if (!listening) {
        stopListening = new AbortController();
        listening = listenUntil(stopListening.signal);
      }
      return () => {
        if (!listeners.delete(own) || listeners.size > 0) return;
        stopListening.abort();
        listening = undefined;
      };
    },
    async close() {
      listeners.clear();
      stopListening.abort();
      await Promise.all([listening, notifying, settling]);
    },
  };
}

const settledStatement = (instance: string) => ({
  name: "settled",
  text: `SELECT o.ahead + pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS edge,
      (SELECT tx FROM events WHERE instance = $1 AND position > 0 ORDER BY tx DESC, position DESC LIMIT 1) AS last
    FROM log_offsets AS o WHERE o.instance = $1`,
  values: [instance],
});

/** A connection that broke without a word looks like one on which nothing happens. */
async function untilDead(client: Client, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(PING_MS, undefined, { signal, ref: false }).catch(() => {});
    if (!signal.aborted) await client.query("SELECT");
  }
}

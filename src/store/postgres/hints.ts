import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { backOff, type Connections, newClient } from "./connections.ts";

const CHANNEL = "userlock";
/** How often other servers are told at most, milliseconds. */
const NOTIFY_MS = 5;
/** How often it is tried whether the connection still lives, milliseconds. */
const PING_MS = 15_000;
const PING_TIMEOUT_MS = 5_000;
/** How long the server may take to end the connection, milliseconds. */
const END_MS = 1_000;

/** Hints that there is more of the log to read, of this store and of others. */
interface Hints {
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

  function tellHere(): void {
    for (const listener of listeners) listener();
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
        if (payload.endsWith(` ${instance}`) && !payload.startsWith(self)) tellHere();
      });
      try {
        await client.connect();
        await client.query(`LISTEN ${CHANNEL}`);
        attempt = 0;
        tellHere();
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
      tellHere();
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
      await Promise.all([listening, notifying]);
    },
  };
}

/** A connection that broke without a word looks like one on which nothing happens. */
async function untilDead(client: Client, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(PING_MS, undefined, { signal, ref: false }).catch(() => {});
    if (!signal.aborted) await client.query("SELECT");
  }
}

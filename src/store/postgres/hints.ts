import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "pg";
import { backOff, type Connections, newClient } from "./connections.ts";

const CHANNEL = "userlock";
/** The minimum time between notifications, milliseconds. */
const NOTIFY_MS = 5;
/** How often the connection is checked, milliseconds. */
const PING_MS = 15_000;
const PING_TIMEOUT_MS = 5_000;
/** How long closing a connection may take, milliseconds. */
const END_MS = 1_000;

/** Hints that the log has grown, by this process or others. */
interface Hints {
  /** Notifies all listeners, in this process at once. */
  give(): void;
  listen(listener: () => void): () => void;
  close(): Promise<void>;
}

/**
 * Creates hints. NOTIFY runs in its own statement: in an appending transaction its lock would serialize the commits.
 */
export function createHints(parts: { url: string; connections: Connections; instance: string }): Hints {
  const { url, connections, instance } = parts;
  const listeners = new Set<() => void>();
  const self = randomUUID();
  let notifying: Promise<void> | undefined;
  let isMore = false;
  let stopListening = new AbortController();
  let listening: Promise<void> | undefined;

  function notifyHere(): void {
    for (const listener of listeners) listener();
  }

  /** Notifies other processes, and again if there was more meanwhile. */
  async function notifyOthers(): Promise<void> {
    do {
      isMore = false;
      const statement = { name: "notify", text: "SELECT pg_notify($1, $2)", values: [CHANNEL, `${self} ${instance}`] };
      await connections.run(statement).catch(() => {}); // Only a hint.
      if (isMore) await sleep(NOTIFY_MS);
    } while (isMore);
    notifying = undefined;
  }

  /** Listens until the signal is aborted. Each new connection gives a hint, because some may have been missed. */
  async function listenUntil(signal: AbortSignal): Promise<void> {
    for (let attempt = 0; !signal.aborted; ) {
      const client = newClient(url, { query_timeout: PING_TIMEOUT_MS });
      const ended = new Promise<void>((resolve) => {
        client.once("error", () => resolve());
        client.once("end", resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
      client.on("error", () => {}); // There may be more than one.
      client.on("notification", ({ payload = "" }) => {
        if (payload.endsWith(` ${instance}`) && !payload.startsWith(self)) notifyHere();
      });
      try {
        await client.connect();
        await client.query(`LISTEN ${CHANNEL}`);
        attempt = 0;
        notifyHere();
        await Promise.race([ended, untilDead(client, signal)]);
      } catch {
        // The next connection may succeed.
      }
      await Promise.race([client.end().catch(() => {}), sleep(END_MS, undefined, { ref: false })]);
      if (!signal.aborted) await backOff(attempt++, signal);
    }
  }

  return {
    give() {
      notifyHere();
      isMore = true;
      notifying ??= notifyOthers();
    },
    listen(listener) {
      // A wrapper, because the same listener may be added twice.
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

/** Detects a silently broken connection, which looks like an idle one. */
async function untilDead(client: Client, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(PING_MS, undefined, { signal, ref: false }).catch(() => {});
    if (!signal.aborted) await client.query("SELECT");
  }
}

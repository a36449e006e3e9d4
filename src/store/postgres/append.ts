import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Actor } from "../../domain/aggregate.ts";
import { type Row, toRow } from "../append-row.ts";
import { INDEXED_FIELDS, indexedValues } from "../indexed-fields.ts";
import { MAX_BATCH_LENGTH, MAX_WAITING } from "../limits.ts";
import { type Append, type AppendResult, type StoreObserver, StoreUnavailable } from "../port.ts";
import { backOff, type Connections, troubleOf } from "./connections.ts";

/** One batch is decided while another commits. More would only make batches smaller. */
const MAX_IN_FLIGHT = 2;
/** How long a batch is retried after a lost answer or a collision, milliseconds. */
const TROUBLE_MS = 10_000;

interface Waiting {
  row: Row;
  /** For the observer. */
  actor: Actor;
  /** The serialized row. */
  json: string;
  /** The keys that no concurrent append may use: streams, claims, the receipt. */
  keys: string[];
  /** The number of keys that others hold. */
  missing: number;
  resolve(result: AppendResult): void;
  reject(error: unknown): void;
}

/** The appends that need a key, in FIFO order. The first one holds it. */
interface Queue {
  waiting: Waiting[];
  /** The version of the key's stream, if it was just written. */
  version?: number;
}

interface Writer {
  append(append: Append): Promise<AppendResult>;
  /** The number of appends without a result. */
  waiting(): number;
  /** Resolves when nothing waits. */
  drained(): Promise<void>;
}

/**
 * Commits appends in batches of one statement each, several at once. Concurrent appends share no key, so that a batch
 * can be judged as a set and waits for no other batch of this process.
 */
export function createWriter(parts: {
  connections: Connections;
  instance: string;
  commitRows: number;
  onCommit(): void;
  observer?: StoreObserver | undefined;
}): Writer {
  const { connections, instance, commitRows, onCommit, observer } = parts;
  const queues = new Map<string, Queue>();
  let ready: Waiting[] = [];
  let waiting = 0;
  let inFlight = 0;
  let isWoken = false;
  let whenDrained: (() => void)[] = [];

  function enter(one: Waiting): void {
    waiting++;
    for (const key of one.keys) {
      const queue = queues.get(key);
      if (queue) one.missing++;
      if (queue) queue.waiting.push(one);
      else queues.set(key, { waiting: [one] });
    }
    if (one.missing === 0) ready.push(one);
  }

  function leave(one: Waiting): void {
    waiting--;
    for (const key of one.keys) {
      const waiting = queues.get(key)?.waiting ?? [];
      waiting.shift();
      const [next] = waiting;
      if (!next) queues.delete(key);
      else if (--next.missing === 0) ready.push(next);
    }
  }

  function settle(one: Waiting, result: AppendResult): void {
    const queue = queues.get(streamKey(one.row));
    if (queue && result.outcome === "appended") queue.version = one.row.expectedVersion + one.row.events.length;
    one.resolve(result);
    leave(one);
  }

  /** A version that was just passed is a conflict without a query, because versions only grow. */
  function isPassed({ row }: Waiting): boolean {
    const version = queues.get(streamKey(row))?.version;
    return version !== undefined && row.expectedVersion < version && !row.receipt;
  }

  function wake(): void {
    if (isWoken) return;
    isWoken = true;
    setImmediate(() => {
      isWoken = false;
      while (inFlight < MAX_IN_FLIGHT) {
        const batch = nextBatch();
        if (batch.length === 0) break;
        inFlight++;
        void commit(batch).finally(() => {
          inFlight--;
          wake();
        });
      }
      if (waiting > 0) return;
      for (const resolve of whenDrained) resolve();
      whenDrained = [];
    });
  }

  function nextBatch(): Waiting[] {
    const batch: Waiting[] = [];
    let length = 0;
    let taken = 0;
    for (const one of ready) {
      if (batch.length === commitRows) break;
      if (isPassed(one)) settle(one, { outcome: "conflict" });
      else {
        if (batch.length > 0 && length + one.json.length > MAX_BATCH_LENGTH) break;
        length += one.json.length;
        batch.push(one);
      }
      taken++;
    }
    ready = ready.slice(taken);
    return batch;
  }

  async function commit(batch: Waiting[]): Promise<void> {
    const started = performance.now();
    try {
      const results = await persist(batch);
      for (const [index, one] of batch.entries()) settle(one, results[index] as AppendResult);
    } catch (error) {
      if (batch.length > 1 && troubleOf(error) === "value") {
        // The server rejects a value of one append, so each is committed alone.
        for (const one of batch) await commit([one]);
        return;
      }
      for (const one of batch) {
        one.reject(new StoreUnavailable(error));
        leave(one);
      }
    } finally {
      // Also after a failure, because it may have been committed.
      onCommit();
      observer?.committed(batch.length, performance.now() - started, batch);
    }
  }

  /** Runs the statement, with retries while its outcome is unknown. The id of each append prevents a second commit. */
  async function persist(batch: Waiting[]): Promise<AppendResult[]> {
    const rows = batch.map(({ json }, place) => `{"place":${place},${json}`);
    const statement = {
      name: "append",
      text: "SELECT userlock_append($1, $2) AS results",
      values: [instance, `[${rows.join(",")}]`],
    };
    const deadline = performance.now() + TROUBLE_MS;
    let isUnanswered = false;
    for (let attempt = 0; ; attempt++) {
      try {
        const rows = await connections.run<{ results: AppendResult[] }>(statement);
        return rows.flatMap(({ results }) => results);
      } catch (error) {
        const trouble = troubleOf(error);
        isUnanswered ||= trouble === "connection";
        // The first attempt may still run on the server and hold the locks.
        const isWorthIt =
          trouble === "collision" || trouble === "connection" || (isUnanswered && trouble === "timeout");
        if (!isWorthIt || performance.now() > deadline) throw error;
        observer?.retried(trouble);
        if (trouble === "collision") await sleep(Math.random() * 10 * Math.min(attempt + 1, 10));
        else await backOff(attempt);
      }
    }
  }

  return {
    async append(append) {
      if (waiting >= MAX_WAITING) throw new StoreUnavailable("too many appends are waiting");
      const row = toRow(append);
      const json = toJson(row, append.state, randomUUID());
      return new Promise((resolve, reject) => {
        enter({ row, actor: append.actor, json, keys: keysOf(row), missing: 0, resolve, reject });
        wake();
      });
    },
    waiting: () => waiting,
    async drained() {
      if (waiting > 0) await new Promise<void>((resolve) => whenDrained.push(resolve));
    },
  };
}

const streamKey = ({ kind, id }: { kind: string; id: string }) => `stream\0${kind}\0${id}`;

function keysOf(row: Row): string[] {
  const claims = [...row.claims.add, ...row.claims.remove].map((name) => `claim\0${name}`);
  const receipt = row.receipt ? [`receipt\0${row.receipt.key}`] : [];
  return [...new Set([streamKey(row), ...row.requires.map(streamKey), ...claims, ...receipt])];
}

/** The values of a state for the indexed columns. */
function indexedColumns(state: unknown): object {
  const values = indexedValues(state);
  return Object.fromEntries(INDEXED_FIELDS.map(({ column, type }, place) => [column, typedValue(values[place], type)]));
}

const typedValue = (value: unknown, type: "text" | "number") =>
  typeof value === (type === "text" ? "string" : "number") ? value : undefined;

/** The row for the database function, without the first brace, which `persist` adds with the place. */
function toJson(row: Row, state: unknown, append: string): string {
  const {
    kind,
    id,
    expectedVersion: expected,
    time,
    ownerType,
    ownerId,
    userId,
    claims,
    requires,
    absent,
    receipt,
  } = row;
  const plain = JSON.stringify({
    kind,
    id,
    expected,
    append,
    time,
    owner_type: ownerType,
    owner_id: ownerId,
    about: userId,
    adds: claims.add,
    removes: claims.remove,
    requires: requires.length > 0 ? requires : undefined,
    absent,
    ...indexedColumns(state),
    receipt: receipt && { ...receipt, answer: Buffer.from(receipt.answer).toString("base64") },
  });
  const events = row.events.map(({ type, data }) => `{"type":${JSON.stringify(type)},"data":${data}}`);
  // Serialized JSON is inserted unchanged.
  return `${plain.slice(1, -1)},"actor":${row.actor},"state":${row.state},"events":[${events.join(",")}]}`;
}

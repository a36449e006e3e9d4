import { Worker } from "node:worker_threads";
import { type AppendResult, type EventStore, type Query, type SearchResult, StoreUnavailable } from "../port.ts";
import type { KeyedRow } from "./append.ts";
import type { Place } from "./place.ts";

type Method = "appendAll" | "search" | "read" | "keep" | "prove" | "checkpoint" | "close";

export interface WorkerData {
  file: string;
  instance: string;
  place: Place;
}

export interface WorkerCall {
  number: number;
  method: Method;
  args: unknown[];
  /** Its one element becomes 1 when nobody waits for the answer any more. */
  unwanted: Int32Array<SharedArrayBuffer> | undefined;
}

export type WorkerAnswer =
  | { number: number; result: unknown }
  | { number: number; error: string; errcode: number | undefined };

/** Heap of a thread. One that needs more ends, its calls are UNAVAILABLE, and the next call starts it anew. */
const MAX_HEAP_MIB = 256;

/** After how many changes the size of the WAL is looked at. */
const LOOK_EVERY = 1_000;
/**
 * From how many pages on the WAL is emptied: 32 MB. The more pages, the more often one that changed again is moved
 * once.
 */
const FULL = 8_000;
/** How many pages the writer moves between two commits without being missed. */
const FEW = 500;
const MAX_ROUNDS = 4;

/**
 * A connection in a thread of its own, so that a slow disk or a long search never stops the event loop. The thread is
 * started by the first call, for it takes some 20 MiB of memory; and anew by the next one after it has failed.
 */
export interface DatabaseThread {
  appendAll(rows: readonly KeyedRow[]): Promise<AppendResult[]>;
  search(query: Query, signal?: AbortSignal): Promise<SearchResult>;
  read: EventStore["read"];
  keep: EventStore["keep"];
  prove(): Promise<void>;
  checkpoint(fromPages: number): Promise<number>;
  /** Starts the thread before there is a call. */
  start(): void;
  /** Calls that are not answered yet. */
  load(): number;
  /** Answers the calls before it, then ends the thread. Those after it reject. */
  close(): Promise<void>;
}

export function createDatabaseThread(file: string, instance: string, place: Place): DatabaseThread {
  const waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  let worker: Worker | undefined;
  let isClosed = false;
  let calls = 0;

  function started(): Worker {
    if (worker) return worker;
    const mine = new Worker(new URL("./worker.ts", import.meta.url), {
      workerData: { file, instance, place } satisfies WorkerData,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
    });
    const end = (cause: unknown) => {
      // The end that comes after an error says nothing new, and the next one may have been started.
      if (worker !== mine) return;
      worker = undefined;
      for (const { reject } of waiting.values()) reject(new StoreUnavailable(cause));
      waiting.clear();
    };
    mine.on("message", (answer: WorkerAnswer) => {
      const call = waiting.get(answer.number);
      waiting.delete(answer.number);
      if ("error" in answer)
        call?.reject(new StoreUnavailable(Object.assign(new Error(answer.error), { errcode: answer.errcode })));
      else call?.resolve(answer.result);
    });
    mine.on("error", end);
    mine.on("exit", () => end("the thread has ended"));
    worker = mine;
    return mine;
  }

  function call<Result>(method: Method, ...args: unknown[]): Promise<Result> {
    return send(method, args, undefined);
  }

  function send<Result>(method: Method, args: unknown[], unwanted: WorkerCall["unwanted"]): Promise<Result> {
    if (isClosed) return Promise.reject(new StoreUnavailable("the store is closed"));
    const number = calls++;
    started().postMessage({ number, method, args, unwanted } satisfies WorkerCall);
    return new Promise((resolve, reject) => waiting.set(number, { resolve, reject }));
  }

  /** node:sqlite cannot interrupt a statement, so the statement itself looks at what all threads see. */
  async function callUntil<Result>(signal: AbortSignal | undefined, method: Method, ...args: unknown[]) {
    if (!signal) return call<Result>(method, ...args);
    signal.throwIfAborted();
    const unwanted = new Int32Array(new SharedArrayBuffer(4));
    const onAbort = () => Atomics.store(unwanted, 0, 1);
    signal.addEventListener("abort", onAbort);
    try {
      return await send<Result>(method, args, unwanted);
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  return {
    appendAll: (rows) => call("appendAll", rows),
    search: (query, signal) => callUntil(signal, "search", query),
    read: (query, signal) => callUntil(signal, "read", query),
    keep: (receipt, time) => call("keep", receipt, time),
    prove: () => call("prove"),
    checkpoint: (fromPages) => call("checkpoint", fromPages),
    start: started,
    load: () => waiting.size,
    close: async () => {
      const closing = worker && !isClosed ? call("close") : undefined;
      isClosed = true;
      await closing;
    },
  };
}

/** Threads that share what comes: each is started when those before it are at work. */
export function createThreads(
  count: number,
  create: () => DatabaseThread,
): Pick<DatabaseThread, "search" | "read" | "close"> {
  const threads = Array.from({ length: count }, create);
  const idlest = () => threads.reduce((best, thread) => (thread.load() < best.load() ? thread : best));
  return {
    search: (query, signal) => idlest().search(query, signal),
    read: (query, signal) => idlest().read(query, signal),
    close: async () => {
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}

/** Moves pages from the WAL into the file if it has so many, and resolves with how many are still to be moved. */
type Checkpoint = (fromPages: number) => Promise<number>;

/**
 * Empties the WAL while commits go on: `aside` moves what is there, in a thread for which no commit waits, and the
 * writer, `between` two commits, only what came meanwhile. It then starts the WAL anew, if no reader still needs it.
 * Call what is returned after each commit, with how many changes it took.
 */
export function createCheckpoints({
  aside,
  between,
}: {
  aside: Checkpoint;
  between: Checkpoint;
}): (rows: number) => void {
  let rows = 0;
  let isRunning = false;

  async function run(): Promise<void> {
    let left = await aside(FULL);
    for (let round = 1; left > FEW && round < MAX_ROUNDS; round++) left = await aside(0);
    if (left > 0) await between(0);
  }

  return (more) => {
    rows += more;
    if (isRunning || rows < LOOK_EVERY) return;
    rows = 0;
    isRunning = true;
    // What fails is tried again after more changes, and at last by the writer itself.
    run()
      .catch(() => {})
      .finally(() => {
        isRunning = false;
      });
  };
}

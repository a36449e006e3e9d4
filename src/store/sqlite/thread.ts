import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { type AppendResult, type EventStore, type SearchResult, StoreUnavailable } from "../port.ts";
import type { Query } from "../query.ts";
import type { KeyedRow } from "./append.ts";
import type { Place } from "./place.ts";

type Method = "appendAll" | "search" | "count" | "read" | "holders" | "keep" | "prove" | "checkpoint" | "close";

export interface WorkerData {
  file: string;
  instance: string;
  place: Place;
}

export interface WorkerCall {
  number: number;
  method: Method;
  args: unknown[];
  /** Its only element is set to 1 when the caller no longer waits. */
  unwanted: Int32Array<SharedArrayBuffer> | undefined;
}

export type WorkerAnswer =
  | { number: number; result: unknown }
  | { number: number; error: string; errcode: number | undefined };

/** The heap limit of a thread. Beyond it the thread ends, its calls fail, and the next call restarts it. */
const MAX_HEAP_MIB = 256;

/** The number of changes after which the WAL's size is checked. */
const LOOK_EVERY = 1_000;
/**
 * The number of WAL pages that starts a checkpoint: 32 MB. A larger WAL moves fewer pages, because one that changed
 * again is moved once.
 */
const FULL = 8_000;
/** The number of pages that the writer can move between two commits without a noticeable delay. */
const FEW = 500;
const MAX_ROUNDS = 4;

/**
 * A connection in its own thread, so that a slow disk or a long search never blocks the event loop. The first call
 * starts the thread, which takes about 20 MiB. The next call restarts it after a failure.
 */
export interface DatabaseThread {
  appendAll(rows: readonly KeyedRow[]): Promise<AppendResult[]>;
  search(query: Query, signal?: AbortSignal): Promise<SearchResult>;
  count: EventStore["count"];
  read: EventStore["read"];
  holders: EventStore["holders"];
  keep: EventStore["keep"];
  prove(): Promise<void>;
  checkpoint(fromPages: number): Promise<number>;
  /** Starts the thread before the first call. */
  start(): void;
  /** The number of unanswered calls. */
  load(): number;
  /** Answers earlier calls, then ends the thread. Later calls reject. */
  close(): Promise<void>;
}

export function createDatabaseThread(file: string, instance: string, place: Place): DatabaseThread {
  const waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  let worker: Worker | undefined;
  let isClosed = false;
  let calls = 0;

  function started(): Worker {
    if (worker) return worker;
    // .ts in a checkout, .js in the package.
    const mine = new Worker(new URL(`./worker${extname(import.meta.url)}`, import.meta.url), {
      workerData: { file, instance, place } satisfies WorkerData,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
    });
    const end = (cause: unknown) => {
      // The exit after an error adds nothing, and the thread may have been restarted.
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

  /** node:sqlite cannot interrupt a statement, so the statement polls shared memory. */
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
    count: (query, signal) => callUntil(signal, "count", query),
    holders: (query, signal) => callUntil(signal, "holders", query),
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

/** Distributes calls over threads. Each thread starts when the ones before are busy. */
export function createThreads(
  count: number,
  create: () => DatabaseThread,
): Pick<DatabaseThread, "search" | "count" | "read" | "holders" | "close"> {
  const threads = Array.from({ length: count }, create);
  const idlest = () => threads.reduce((best, thread) => (thread.load() < best.load() ? thread : best));
  return {
    search: (query, signal) => idlest().search(query, signal),
    count: (query, signal) => idlest().count(query, signal),
    read: (query, signal) => idlest().read(query, signal),
    holders: (query, signal) => idlest().holders(query, signal),
    close: async () => {
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}

/** Moves pages from a WAL of at least `fromPages` into the file. Resolves with the number of remaining pages. */
type Checkpoint = (fromPages: number) => Promise<number>;

/**
 * Empties the WAL during commits. `aside` moves most pages in a thread that no commit waits for. `between` moves the
 * rest in the writer, between two commits, which then restarts the WAL if no reader needs it. Call the returned
 * function after each commit, with its number of changes.
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
    // A failure is retried after more changes, and finally by the writer itself.
    run()
      .catch(() => {})
      .finally(() => {
        isRunning = false;
      });
  };
}

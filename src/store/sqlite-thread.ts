import { Worker } from "node:worker_threads";
import { type EventStore, StoreUnavailable } from "./port.ts";
import type { Batch, RowAnswer } from "./sqlite-batch.ts";

type Method = "appendAll" | "search" | "read" | "keep" | "checkpoint" | "close";

export interface WorkerCall {
  number: number;
  method: Method;
  args: unknown[];
}

export type WorkerAnswer = { number: number; result: unknown } | { number: number; error: string };

/**
 * A connection in a thread of its own, so that a slow disk or a long search never stops the event loop. The thread is
 * started by the first call, for it takes some 20 MiB of memory; and anew by the next one after it has failed.
 */
export interface DatabaseThread {
  appendAll(batch: Batch): Promise<RowAnswer[]>;
  search: EventStore["search"];
  read: EventStore["read"];
  keep: EventStore["keep"];
  checkpoint(fromPages: number): Promise<number>;
  /** Starts the thread before there is a call. */
  start(): void;
  /** Answers the calls before it, then ends the thread. Those after it reject. */
  close(): Promise<void>;
}

export function createDatabaseThread(file: string, instance: string): DatabaseThread {
  const waiting = new Map<number, { resolve: (result: never) => void; reject: (error: Error) => void }>();
  let worker: Worker | undefined;
  let isClosed = false;
  let calls = 0;

  function started(): Worker {
    if (worker) return worker;
    const mine = new Worker(new URL("./sqlite-worker.ts", import.meta.url), { workerData: { file, instance } });
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
      if ("error" in answer) call?.reject(new StoreUnavailable(answer.error));
      else call?.resolve(answer.result as never);
    });
    mine.on("error", end);
    mine.on("exit", () => end("the thread has ended"));
    worker = mine;
    return mine;
  }

  function call<Result>(method: Method, ...args: unknown[]): Promise<Result> {
    if (isClosed) return Promise.reject(new StoreUnavailable("the store is closed"));
    const number = calls++;
    started().postMessage({ number, method, args } satisfies WorkerCall);
    return new Promise((resolve, reject) => waiting.set(number, { resolve, reject }));
  }

  return {
    appendAll: (batch) => call("appendAll", batch),
    search: (query) => call("search", query),
    read: (query) => call("read", query),
    keep: (receipt, time) => call("keep", receipt, time),
    checkpoint: (fromPages) => call("checkpoint", fromPages),
    start: started,
    close: async () => {
      const closing = worker && !isClosed ? call("close") : undefined;
      isClosed = true;
      await closing;
    },
  };
}

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
 * started by the first call, for it takes some 20 MiB of memory.
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
  let ended: StoreUnavailable | undefined;
  let calls = 0;

  function started(): Worker {
    if (worker) return worker;
    worker = new Worker(new URL("./sqlite-worker.ts", import.meta.url), { workerData: { file, instance } });
    worker.on("message", (answer: WorkerAnswer) => {
      const call = waiting.get(answer.number);
      waiting.delete(answer.number);
      if ("error" in answer) call?.reject(new StoreUnavailable(answer.error));
      else call?.resolve(answer.result as never);
    });
    worker.on("error", (error) => end(new StoreUnavailable(error)));
    worker.on("exit", () => end(closed()));
    return worker;
  }

  function end(error: StoreUnavailable): void {
    ended ??= error;
    for (const { reject } of waiting.values()) reject(ended);
    waiting.clear();
  }

  function call<Result>(method: Method, ...args: unknown[]): Promise<Result> {
    if (ended) return Promise.reject(ended);
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
      if (worker && !ended) await call("close");
      end(closed());
    },
  };
}

const closed = () => new StoreUnavailable("the store is closed");

import { parentPort, workerData } from "node:worker_threads";
import { openDatabase } from "./sqlite-database.ts";
import type { WorkerAnswer, WorkerCall } from "./sqlite-thread.ts";

const { file, instance } = workerData as { file: string; instance: string };
let current: WorkerCall | undefined;
const isUnwanted = () => current?.unwanted !== undefined && Atomics.load(current.unwanted, 0) === 1;
const database = openDatabase(file, instance, isUnwanted);

parentPort?.on("message", (call: WorkerCall) => {
  const { number, method, args } = call;
  current = call;
  let answer: WorkerAnswer;
  try {
    answer = {
      number,
      result: method === "close" ? database.close() : (database[method] as (...args: unknown[]) => unknown)(...args),
    };
  } catch (error) {
    answer = { number, error: (error as Error).message };
  }
  parentPort?.postMessage(answer);
  if (method === "close") parentPort?.close();
});

import { parentPort, workerData } from "node:worker_threads";
import { openDatabase } from "./database.ts";
import type { Place } from "./place.ts";
import type { WorkerAnswer, WorkerCall } from "./thread.ts";

const { file, instance, place } = workerData as { file: string; instance: string; place: Place };
let current: WorkerCall | undefined;
const isUnwanted = () => current?.unwanted !== undefined && Atomics.load(current.unwanted, 0) === 1;
const database = openDatabase(file, instance, { place, isUnwanted });

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
    const { message, errcode } = error as Error & { errcode?: number };
    answer = { number, error: message, errcode };
  }
  parentPort?.postMessage(answer);
  if (method === "close") parentPort?.close();
});

import { parentPort, workerData } from "node:worker_threads";
import { codeOf, messageOf } from "./connections.ts";
import { openDatabase } from "./database.ts";
import type { WorkerAnswer, WorkerCall, WorkerData } from "./thread.ts";

const { file, instance, place }: WorkerData = workerData;
let current: WorkerCall | undefined;
const isUnwanted = () => current?.unwanted !== undefined && Atomics.load(current.unwanted, 0) === 1;
const database = openDatabase(file, instance, { place, isUnwanted });

parentPort?.on("message", (call: WorkerCall) => {
  const { number, method, args } = call;
  current = call;
  let answer: WorkerAnswer;
  try {
    answer = { number, result: Reflect.apply(database[method], database, args) };
  } catch (error) {
    answer = { number, error: messageOf(error), errcode: codeOf(error) };
  }
  parentPort?.postMessage(answer);
  if (method === "close") parentPort?.close();
});

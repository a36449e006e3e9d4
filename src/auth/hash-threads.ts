import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { constants, setPriority } from "node:os";

/** The name of libuv's pool threads, which hash passwords. */
const POOL_THREAD = "libuv-worker\n";
const TASKS = "/proc/self/task";

/**
 * Lowers the priority of the threads that hash passwords, so that other calls run first on a busy machine. It works on
 * Linux only, where each thread has its own priority (setpriority(2), "C library/kernel differences").
 */
export async function lowerHashThreads(): Promise<void> {
  if (process.platform !== "linux") return;
  // An asynchronous call, because it starts all threads of the pool.
  for (const task of await readdir(TASKS)) {
    try {
      if (readFileSync(`${TASKS}/${task}/comm`, "utf8") !== POOL_THREAD) continue;
      setPriority(Number(task), constants.priority.PRIORITY_BELOW_NORMAL);
    } catch {
      // The thread has ended, or a sandbox forbids it.
    }
  }
}

import { readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { constants, setPriority } from "node:os";

/** What libuv calls the threads of its pool, in which passwords are hashed. */
const POOL_THREAD = "libuv-worker\n";
const TASKS = "/proc/self/task";

/**
 * Lowers the priority of the threads that hash passwords, so that on a machine without a free core all other calls are
 * served first. Linux gives each thread a priority of its own (setpriority(2), "C library/kernel differences"). Elsewhere
 * this does nothing.
 */
export async function lowerHashThreads(): Promise<void> {
  if (process.platform !== "linux") return;
  // Asked through the pool, which starts all of its threads for it.
  for (const task of await readdir(TASKS)) {
    try {
      if (readFileSync(`${TASKS}/${task}/comm`, "utf8") !== POOL_THREAD) continue;
      setPriority(Number(task), constants.priority.PRIORITY_BELOW_NORMAL);
    } catch {
      // A thread that has ended meanwhile, or a sandbox that forbids it.
    }
  }
}

import { setTimeout as sleep } from "node:timers/promises";

/** Resolves once the condition holds. Rejects if it does not within ten seconds. */
export async function eventually(condition: () => boolean | Promise<boolean>, withinMs = 10_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`it did not happen within ${withinMs} ms: ${condition}`);
    await sleep(2);
  }
}

// Proves that temporary failures are retried with growing pauses.
import { setTimeout as sleep } from "node:timers/promises";
import { retry } from "../../../src/retry.ts";

const never = AbortSignal.any([]);

/** Work that fails with each of the errors in turn, then succeeds. */
function failing(...errors: unknown[]) {
  const attempts: number[] = [];
  const work = async (attempt: number) => {
    attempts.push(attempt);
    if (attempt <= errors.length) throw errors[attempt - 1];
    return "done";
  };
  return { work, attempts };
}

test("work that fails for a while succeeds in the end, and each failure is reported", async () => {
  const { work, attempts } = failing("first", "second");
  const told: unknown[] = [];
  const onFailure = (...failure: unknown[]) => told.push(failure);
  await expect(retry(work, { signal: never, onFailure, firstMs: 1, longestMs: 1 })).resolves.toBe("done");
  expect(attempts).toEqual([1, 2, 3]);
  expect(told).toEqual([
    ["first", 1],
    ["second", 2],
  ]);
});

test("pauses double up to the longest pause, and vary by half", async () => {
  const { work } = failing("a", "b", "c", "d");
  const times: number[] = [];
  const timed = (attempt: number) => {
    times.push(performance.now());
    return work(attempt);
  };
  await retry(timed, { signal: never, onFailure: () => {}, firstMs: 20, longestMs: 60 });
  const pauses = times.slice(1).map((time, index) => time - (times[index] as number));
  for (const [index, most] of [20, 40, 60, 60].entries()) expect(pauses[index]).toBeGreaterThanOrEqual(most / 2 - 1);
});

test.each([
  ["if the error is permanent", { mayPass: () => false }],
  ["if the next attempt would exceed its patience", { patienceMs: 0 }],
  ["if the signal is aborted", { signal: AbortSignal.abort() }],
])("retrying rejects at once %s, and does not report a failure", async (_, options) => {
  const { work, attempts } = failing("no");
  const onFailure = () => {
    throw new Error("not waited for");
  };
  await expect(retry(work, { signal: never, onFailure, ...options })).rejects.toBe("no");
  expect(attempts).toEqual([1]);
});

test("aborting the signal ends a pause without another attempt", async () => {
  const { work, attempts } = failing("no", "no");
  const stop = new AbortController();
  const tried = retry(work, { signal: stop.signal, onFailure: () => {}, firstMs: 60_000, longestMs: 60_000 });
  await sleep(1);
  stop.abort();
  await expect(tried).rejects.toBe("no");
  expect(attempts).toEqual([1]);
});

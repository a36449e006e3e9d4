import type { Meters } from "./meters.ts";
import type { Observers } from "./observers.ts";

const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** Metrics of password hashes and of their queue. */
export function observePasswords(meters: Meters): Pick<Observers, "hasher" | "hashQueue"> {
  const duration = meters.histogram({
    name: "userlock_password_hash_duration_seconds",
    help: "time to hash a password or to compare it with a hash, without the wait for a thread",
    labels: ["op"],
    buckets: BUCKETS,
  });
  let asked = 0;
  let running = 0;
  meters.gauge({
    name: "userlock_password_queue",
    help: "password hashes that wait for a thread",
    read: () => [[asked - running]],
  });

  const hashed = duration.labels("hash");
  const verified = duration.labels("verify");

  async function timed<Result>(cell: typeof hashed, work: () => Promise<Result>): Promise<Result> {
    running++;
    const started = performance.now();
    try {
      return await work();
    } finally {
      running--;
      cell.observe((performance.now() - started) / 1_000);
    }
  }
  async function queued<Result>(work: () => Promise<Result>): Promise<Result> {
    asked++;
    try {
      return await work();
    } finally {
      asked--;
    }
  }

  return {
    hasher: (hasher) => ({
      hash: (password) => timed(hashed, () => hasher.hash(password)),
      verify: (password, hash) => timed(verified, () => hasher.verify(password, hash)),
      // A login that must fail takes as long as one that is compared.
      pretend: (password, like) => timed(verified, () => hasher.pretend(password, like)),
      isCostly: hasher.isCostly,
    }),
    hashQueue: (queue) => ({
      hash: (password, turn) => queued(() => queue.hash(password, turn)),
      verify: (password, hash, turn) => queued(() => queue.verify(password, hash, turn)),
      pretend: (password, turn, like) => queued(() => queue.pretend(password, turn, like)),
    }),
  };
}

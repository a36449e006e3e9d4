/** Sizes of the benchmarks. A variable such as BENCH_CALLS=10 changes one. */
const size = (name: string, standard: number) => Number(process.env[`BENCH_${name}`] ?? standard);

export const ROUNDS = size("ROUNDS", 5);
/** Calls in a round. */
export const CALLS = size("CALLS", 20_000);
/** Users in a store. */
export const USERS = size("USERS", 100_000);
export const WATCHERS = size("WATCHERS", 1_000);
/** Events in the big store. */
export const EVENTS = size("EVENTS", 10_000_000);
/** Users that a snapshot of WatchLocks has. */
export const DENIED = size("DENIED", 1_000_000);

/** How much is measured; a variable such as BENCH_CALLS=10 makes a benchmark smaller. */
const size = (name: string, standard: number) => Number(process.env[`BENCH_${name}`] ?? standard);

export const ROUNDS = size("ROUNDS", 5);
/** Calls of a round. */
export const CALLS = size("CALLS", 20_000);
/** Users of a store. */
export const USERS = size("USERS", 100_000);
export const WATCHERS = size("WATCHERS", 1_000);
/** Events of the big store. */
export const EVENTS = size("EVENTS", 10_000_000);

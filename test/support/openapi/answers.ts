import type { RestAnswer } from "./check-answer.ts";

/**
 * Node loads the checks, and not jest: once for all test files of a process, and also for a call that ends between two
 * tests. They are loaded for the first answer.
 */
const load = process.getBuiltinModule("node:module").createRequire(import.meta.url);
const checks = (): typeof import("./answer-checks.ts") => load("./answer-checks.ts");

/** Throws if an answer of userlock is not as `gen/openapi.json` says. */
export const checkAnswer = (answer: RestAnswer): void => checks().checkAnswer(answer);

/** What is wrong with the data of a server-sent event by `gen/openapi.json`. */
export const problemsOfEvent = (type: string | undefined, data: string): string[] =>
  checks().problemsOfEvent(type, data);

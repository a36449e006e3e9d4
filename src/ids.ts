import { randomInt } from "node:crypto";
import type { Clock } from "./clock.ts";

const PER_MILLISECOND = 10_000;
const PROCESSES = 10_000_000;

/**
 * Makes ids of 24 decimal digits: 13 of the milliseconds since the Unix epoch, 4 that count within a millisecond, and
 * 7 drawn once for each process. They are ordered by time as text, and unique without coordination: two processes
 * would have to draw the same 7 digits and count alike in the same millisecond, and the store still refuses the
 * second user of an id.
 */
export function idGenerator(clock: Clock): () => string {
  const suffix = String(randomInt(PROCESSES)).padStart(7, "0");
  let last = 0;
  return () => {
    last = Math.max(last + 1, Math.floor(clock() / 1000) * PER_MILLISECOND);
    return `${String(last).padStart(17, "0")}${suffix}`;
  };
}

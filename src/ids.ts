import { randomInt } from "node:crypto";

const PER_MILLISECOND = 10_000;
const PROCESSES = 10_000_000;

/**
 * Makes ids of 24 decimal digits: 13 of the milliseconds since the Unix epoch, 4 that count within a millisecond, and
 * 7 drawn once for each process. They are ordered by time as text, and unique without coordination: two processes
 * would have to draw the same 7 digits and count alike in the same millisecond, and the store still refuses the
 * second user of an id.
 */
export function idGenerator(clock: () => number): () => string {
  const suffix = String(randomInt(PROCESSES)).padStart(7, "0");
  // Two numbers, for the 17 digits of both together are more than a number holds exactly.
  let millisecond = 0;
  let count = 0;
  return () => {
    const now = Math.floor(clock() / 1000);
    if (now > millisecond) {
      millisecond = now;
      count = 0;
    } else if (++count === PER_MILLISECOND) {
      millisecond++;
      count = 0;
    }
    return `${String(millisecond).padStart(13, "0")}${String(count).padStart(4, "0")}${suffix}`;
  };
}

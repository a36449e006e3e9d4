import { randomInt } from "node:crypto";

const PER_MILLISECOND = 10_000;
const PROCESSES = 10_000_000;

/**
 * Generates ids of 24 decimal digits: 13 of milliseconds since the Unix epoch, 4 of a counter within the millisecond,
 * and 7 random digits per process. They sort by time as text. They are unique without coordination unless two processes
 * have the same random digits and counter in one millisecond. The store then refuses the second user of an id.
 */
export function idGenerator(clock: () => number): () => string {
  const suffix = String(randomInt(PROCESSES)).padStart(7, "0");
  // Two numbers, because 17 digits exceed the integers of a number.
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

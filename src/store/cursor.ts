import { invalidField } from "../domain/errors.ts";
import { type Cursor, LOG_START } from "./port.ts";

/** The refusal of a cursor that names no event of the log. */
export const notOfThisLog = () => invalidField("cursor", "is not a cursor of this log");

/**
 * Encodes non-negative integers as a cursor. Each follows its length, so that cursors sort like their numbers. The last one is
 * the time of the event at the position: two logs do not have the same event at one position.
 */
export function toCursor(...numbers: readonly (number | bigint)[]): Cursor {
  return numbers.map((number) => `${String(number).length.toString(36)}${number}`).join("");
}

/** Decodes a cursor of `count` numbers; zeros for LOG_START. Throws INVALID_REQUEST for an invalid cursor. */
export function fromCursor(cursor: Cursor, count: number): bigint[] {
  if (cursor === LOG_START) return Array.from({ length: count }, () => 0n);
  const numbers: bigint[] = [];
  let rest = cursor;
  while (rest !== "" && numbers.length <= count) {
    const end = 1 + Number.parseInt(rest[0] as string, 36);
    const digits = rest.slice(1, end);
    if (digits.length !== end - 1 || !/^(0|[1-9]\d{0,18})$/.test(digits)) break;
    numbers.push(BigInt(digits));
    rest = rest.slice(end);
  }
  if (rest !== "" || numbers.length !== count) throw notOfThisLog();
  return numbers;
}

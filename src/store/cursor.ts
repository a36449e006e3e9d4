import { invalidField } from "../domain/errors.ts";
import { type Cursor, LOG_START } from "./port.ts";

/** A cursor of whole numbers that are not negative, which as text is ordered as they are: each behind its length. */
export function toCursor(...numbers: readonly (number | bigint)[]): Cursor {
  return numbers.map((number) => `${String(number).length.toString(36)}${number}`).join("");
}

/** The numbers of a cursor, `count` of them; zeros for LOG_START. Throws INVALID_REQUEST for a cursor that is none. */
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
  if (rest !== "" || numbers.length !== count) throw invalidField("cursor", "is no cursor of this log");
  return numbers;
}

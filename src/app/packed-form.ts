/**
 * How a record is written as few bytes: its id, its version, when it was created, how long after that it was changed,
 * its owner, its state. The first byte of a value says what it is; a number that goes with that, such as a length, is
 * in the same byte where the range has room, and in those that follow where it has not. Keys, and texts that come again
 * and again, stand as numbers of a vocabulary.
 */

/** Bytes that one record may take: in the place of a larger one, many others can be kept. */
export const MAX_PACKED = 8_192;

export const NULL = 0;
export const FALSE = 1;
export const TRUE = 2;
// What the record has said already.
export const ID = 3;
export const OWNER = 4;
export const CHANGED = 5;
export const CREATED = 6;
// Integers: so much before or after the time of the last event; below zero. Any other number.
export const BEFORE = 7;
export const AFTER = 8;
export const NEGATIVE = 9;
export const DOUBLE = 10;
// Text of 64 characters, six bits each.
export const BASE64 = 11;
export const BASE64URL = 12;
/** Digits as many as those of the id, and the same ones in the first group. */
export const LIKE_ID = 13;

/** First bytes, from the first on: the last of them says that the number follows. */
export interface Range {
  first: number;
  room: number;
}
export const INTEGER: Range = { first: 0x10, room: 0x30 };
export const WORD: Range = { first: 0x40, room: 0x40 };
export const LATIN1: Range = { first: 0x80, room: 0x28 };
export const DIGITS: Range = { first: 0xa8, room: 0x1a };
export const UTF8: Range = { first: 0xc2, room: 0x0e };
/** A text in parts, as that of a password's hash, or an address: so many, and what stands between them. */
export const PARTS: (Range & { between: string })[] = [
  { first: 0xd0, room: 0x04, between: "@" },
  { first: 0xd4, room: 0x04, between: "$" },
];
/** An object of a shape that the vocabulary knows. */
export const OBJECT: Range = { first: 0xd8, room: 0x18 };
/** An object whose keys stand with it. */
export const KEYED: Range = { first: 0xf0, room: 0x08 };
export const ARRAY: Range = { first: 0xf8, room: 0x08 };

/** Bytes of the time at which the stream was created. */
export const TIME_BYTES = 7;
/** Digits are written in groups, of which one of so many digits takes so many bytes. */
export const GROUP = 12;
export const GROUP_BYTES = [0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 5];

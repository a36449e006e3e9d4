import type { Owner } from "../domain/access.ts";
import type { StreamRecord } from "../store/port.ts";
import {
  AFTER,
  ARRAY,
  BASE64,
  BASE64URL,
  BEFORE,
  CHANGED,
  CREATED,
  DIGITS,
  DOUBLE,
  FALSE,
  GROUP,
  GROUP_BYTES,
  ID,
  INTEGER,
  KEYED,
  LATIN1,
  LIKE_ID,
  MAX_PACKED,
  NEGATIVE,
  NULL,
  OBJECT,
  OWNER,
  PARTS,
  type Range,
  TIME_BYTES,
  TRUE,
  UTF8,
  WORD,
} from "./packed-form.ts";
import type { Vocabulary, Words } from "./vocabulary.ts";

/** How deep a state may be nested. */
const MAX_DEPTH = 32;
/** Integers that are no further than this from the record's time are written by the distance. */
const NEAR = 2 ** 42;
/** Texts that are shorter gain nothing from being taken apart. */
const MIN_APART = 16;

/** Writes records as few bytes. They come out as JSON would give them. */
export interface Packer {
  /** Where it writes, from the first byte on. */
  readonly scratch: Buffer;
  /** The id, as a packed record begins. How many bytes it takes; 0 if it cannot be packed. */
  packId(id: string): number;
  /**
   * The record, and what is new in it into the vocabulary, without which it cannot be read. How many bytes it takes; 0
   * if it cannot be packed: it is too large, nested too deep, or no JSON.
   */
  pack(record: StreamRecord, vocabulary: Vocabulary): number;
}

export function createPacker(): Packer {
  const scratch = Buffer.alloc(MAX_PACKED);
  const double = Buffer.alloc(8);
  let position = 0;
  let vocabulary: Vocabulary;
  // What values can refer to.
  let id = "";
  let owner: Owner | undefined;
  let created = 0;
  let changed = 0;

  // A byte beyond the end of scratch is lost. That is seen by the position.
  function putNumber(value: number): void {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) scratch[position++] = (rest & 0x7f) | 0x80;
    scratch[position++] = rest;
  }

  /** In two halves, for what bits are taken from has 32 of them. */
  function putFixed(value: number, size: number): void {
    let low = value >>> 0;
    let high = (value - low) / 2 ** 32;
    for (let left = Math.min(size, 4); left > 0; left--, low >>>= 8) scratch[position++] = low & 0xff;
    for (let left = size - 4; left > 0; left--, high >>>= 8) scratch[position++] = high & 0xff;
  }

  function putIn({ first, room }: Range, value: number): void {
    const isWithin = value < room - 1;
    scratch[position++] = first + (isWithin ? value : room - 1);
    if (!isWithin) putNumber(value);
  }

  function putDigits(text: string): void {
    putIn(DIGITS, text.length);
    for (let start = 0; start < text.length; start += GROUP) putGroup(text, start);
  }

  function putGroup(text: string, start: number): void {
    const end = Math.min(start + GROUP, text.length);
    let value = 0;
    for (let index = start; index < end; index++) value = value * 10 + text.charCodeAt(index) - 0x30;
    putFixed(value, GROUP_BYTES[end - start] as number);
  }

  /** Ids that were given at about the same time begin alike. */
  function putLikeId(text: string): boolean {
    const { length } = text;
    if (length !== id.length || length <= GROUP || length > 2 * GROUP) return false;
    if (!isDigits(text) || !isDigits(id) || text.slice(0, GROUP) !== id.slice(0, GROUP)) return false;
    scratch[position++] = LIKE_ID;
    putGroup(text, GROUP);
    return true;
  }

  function putSixBits(text: string): boolean {
    const isUrl = text.includes("-") || text.includes("_");
    const values = isUrl ? BASE64URL_VALUES : BASE64_VALUES;
    const start = position;
    scratch[position++] = isUrl ? BASE64URL : BASE64;
    putNumber(text.length);
    let held = 0;
    let bits = 0;
    for (let index = 0; index < text.length; index++) {
      const value = values[text.charCodeAt(index)];
      if (value === undefined) {
        position = start;
        return false;
      }
      held = (held << 6) | value;
      bits += 6;
      if (bits < 8) continue;
      bits -= 8;
      scratch[position++] = (held >>> bits) & 0xff;
    }
    // All of the bits, for not every text of these characters is one that came from bytes.
    if (bits > 0) scratch[position++] = (held << (8 - bits)) & 0xff;
    return true;
  }

  function putText(text: string): boolean {
    const { length } = text;
    // In any form, with what stands before it.
    if (position + 3 * length + 16 > MAX_PACKED) return false;
    if (isDigits(text)) {
      putDigits(text);
      return true;
    }
    if (length >= MIN_APART && putSixBits(text)) return true;
    const start = position;
    putIn(LATIN1, length);
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code > 0xff) {
        position = start;
        return putUtf8(text);
      }
      scratch[position++] = code;
    }
    return true;
  }

  function putUtf8(text: string): boolean {
    if (!text.isWellFormed()) return false;
    putIn(UTF8, Buffer.byteLength(text));
    position += scratch.write(text, position);
    return true;
  }

  /** A text that may be a word, or may have parts that are. */
  function putPhrase(text: string, words: Words | undefined): boolean {
    if (text === id) {
      scratch[position++] = ID;
      return true;
    }
    const number = words && vocabulary.numberOf(words, text);
    if (number !== undefined) {
      putIn(WORD, number);
      return true;
    }
    if (text.length > MAX_PACKED) return false;
    if (putLikeId(text)) return true;
    const range = text.length < MIN_APART ? undefined : PARTS.find(({ between }) => text.includes(between));
    if (!range) return putText(text);
    const parts = text.split(range.between);
    putIn(range, parts.length);
    return parts.every((part) => putPhrase(part, words));
  }

  function putInteger(value: number): void {
    const distance = value - changed;
    if (value >= 0 && value < INTEGER.room - 1) {
      putIn(INTEGER, value);
    } else if (distance === 0 || value === created) {
      scratch[position++] = distance === 0 ? CHANGED : CREATED;
    } else if (Math.abs(distance) < NEAR) {
      scratch[position++] = distance < 0 ? BEFORE : AFTER;
      putNumber(Math.abs(distance));
    } else if (value > 0) {
      putIn(INTEGER, value);
    } else {
      scratch[position++] = NEGATIVE;
      putNumber(-value);
    }
  }

  function putDouble(value: number): boolean {
    if (!Number.isFinite(value)) return false;
    double.writeDoubleLE(value);
    scratch[position++] = DOUBLE;
    for (const byte of double) scratch[position++] = byte;
    return true;
  }

  function putObject(value: Record<string, unknown>, depth: number): boolean {
    const prototype = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) return false;
    let keys = Object.keys(value);
    let values = Object.values(value);
    if (values.includes(undefined)) {
      // JSON leaves it out.
      keys = keys.filter((_, index) => values[index] !== undefined);
      values = values.filter((one) => one !== undefined);
    }
    const shape = vocabulary.shapeOf(keys);
    if (shape) putIn(OBJECT, shape.number as number);
    else putIn(KEYED, keys.length);
    for (let index = 0; index < keys.length; index++) {
      if (!shape && !putKey(keys[index] as string)) return false;
      if (!put(values[index], shape?.path[index]?.words, depth + 1)) return false;
    }
    return true;
  }

  /** To set `__proto__` would set something else. */
  function putKey(key: string): boolean {
    return key !== "__proto__" && putText(key);
  }

  /** False if it cannot be written, whatever was written of it by then. */
  function put(value: unknown, words: Words | undefined, depth: number): boolean {
    if (position >= MAX_PACKED || depth > MAX_DEPTH) return false;
    switch (typeof value) {
      case "string":
        return putPhrase(value, words);
      case "number":
        if (!Number.isSafeInteger(value)) return putDouble(value);
        putInteger(value);
        return true;
      case "boolean":
        scratch[position++] = value ? TRUE : FALSE;
        return true;
      case "object":
        if (value === null || value === owner) {
          scratch[position++] = value === null ? NULL : OWNER;
          return true;
        }
        if (!Array.isArray(value)) return putObject(value as Record<string, unknown>, depth);
        putIn(ARRAY, value.length);
        // Not `every`, which passes holes over.
        for (const element of value) if (!put(element, words, depth + 1)) return false;
        return true;
      default:
        return false;
    }
  }

  function packId(of: string): number {
    position = 0;
    return putText(of) ? position : 0;
  }

  return {
    scratch,
    packId,
    pack(record, withIt) {
      vocabulary = withIt;
      ({ id, created, changed } = record);
      const { version } = record;
      const isPlain = isCount(version) && isCount(created) && isCount(changed - created);
      if (!isPlain || packId(id) === 0) return 0;
      putNumber(version);
      putFixed(created, TIME_BYTES);
      putNumber(changed - created);
      owner = undefined;
      if (!put(record.owner, undefined, 0)) return 0;
      owner = record.owner;
      return put(record.state, undefined, 0) && position <= MAX_PACKED ? position : 0;
    },
  };
}

const BASE64_VALUES = valuesOf("+/");
const BASE64URL_VALUES = valuesOf("-_");

/** What each character of the alphabet that ends so stands for, by its code. */
function valuesOf(lastTwo: string): (number | undefined)[] {
  const alphabet = `ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789${lastTwo}`;
  return Array.from({ length: 0x80 }, (_, code) => {
    const value = alphabet.indexOf(String.fromCharCode(code));
    return value < 0 ? undefined : value;
  });
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function isDigits(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x30 || code > 0x39) return false;
  }
  return text !== "";
}

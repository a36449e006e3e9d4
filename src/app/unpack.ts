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
  NEGATIVE,
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

/** Reads records that were packed, from the place behind their id. */
export interface Unpacker {
  versionAt(bytes: Buffer, place: number): number;
  /** The record, each time anew. The vocabulary is the one that it was packed with, which may know more by now. */
  unpack(stream: { kind: string; id: string }, vocabulary: Vocabulary, bytes: Buffer, place: number): StreamRecord;
}

export function createUnpacker(): Unpacker {
  let source: Buffer = Buffer.alloc(0);
  let position = 0;
  let vocabulary: Vocabulary;
  // What values refer to.
  let id = "";
  let owner: Owner | undefined;
  let created = 0;
  let changed = 0;

  function getNumber(): number {
    let value = 0;
    for (let unit = 1; ; unit *= 0x80) {
      const byte = source[position++] as number;
      if (byte < 0x80) return value + byte * unit;
      value += (byte - 0x80) * unit;
    }
  }

  function getFixed(size: number): number {
    let low = 0;
    let high = 0;
    for (let index = size - 1; index >= 4; index--) high = (high << 8) | (source[position + index] as number);
    for (let index = Math.min(size, 4) - 1; index >= 0; index--)
      low = (low << 8) | (source[position + index] as number);
    position += size;
    return high * 2 ** 32 + (low >>> 0);
  }

  function getFrom({ first, room }: Range, tag: number): number {
    return tag < first + room - 1 ? tag - first : getNumber();
  }

  function getDigits(length: number): string {
    let text = "";
    for (let left = length; left > 0; left -= GROUP) {
      const size = Math.min(left, GROUP);
      text += String(getFixed(GROUP_BYTES[size] as number)).padStart(size, "0");
    }
    return text;
  }

  function getSixBits(encoding: "base64" | "base64url"): string {
    const length = getNumber();
    const start = position;
    position += Math.ceil((length * 6) / 8);
    return source.toString(encoding, start, position).slice(0, length);
  }

  function getObject(number: number): Record<string, unknown> {
    const value: Record<string, unknown> = {};
    for (const { key, words } of vocabulary.shape(number).path) value[key] = get(words);
    return value;
  }

  function getKeyed(size: number): Record<string, unknown> {
    const value: Record<string, unknown> = {};
    for (let entry = 0; entry < size; entry++) {
      const key = get() as string;
      value[key] = get();
    }
    return value;
  }

  function getArray(length: number, words: Words | undefined): unknown[] {
    const value: unknown[] = [];
    for (let index = 0; index < length; index++) value.push(get(words));
    return value;
  }

  function getParts(tag: number, words: Words | undefined): string {
    const range = PARTS.find(({ first, room }) => tag < first + room) as (typeof PARTS)[number];
    return getArray(getFrom(range, tag), words).join(range.between);
  }

  function get(words?: Words): unknown {
    const tag = source[position++] as number;
    if (tag >= ARRAY.first) return getArray(getFrom(ARRAY, tag), words);
    if (tag >= KEYED.first) return getKeyed(getFrom(KEYED, tag));
    if (tag >= OBJECT.first) return getObject(getFrom(OBJECT, tag));
    if (tag >= UTF8.first + UTF8.room) return getParts(tag, words);
    if (tag >= DIGITS.first && tag < UTF8.first) return getDigits(getFrom(DIGITS, tag));
    if (tag >= LATIN1.first) {
      const size = getFrom(tag < DIGITS.first ? LATIN1 : UTF8, tag);
      position += size;
      return source.toString(tag < DIGITS.first ? "latin1" : "utf8", position - size, position);
    }
    if (tag >= WORD.first) return words?.list[getFrom(WORD, tag)];
    if (tag >= INTEGER.first) return getFrom(INTEGER, tag);
    switch (tag) {
      case FALSE:
      case TRUE:
        return tag === TRUE;
      case ID:
        return id;
      case OWNER:
        return owner;
      case CHANGED:
        return changed;
      case CREATED:
        return created;
      case BEFORE:
        return changed - getNumber();
      case AFTER:
        return changed + getNumber();
      case NEGATIVE:
        return -getNumber();
      case DOUBLE:
        position += 8;
        return source.readDoubleLE(position - 8);
      case BASE64:
        return getSixBits("base64");
      case BASE64URL:
        return getSixBits("base64url");
      case LIKE_ID:
        return id.slice(0, GROUP) + getDigits(id.length - GROUP);
      default:
        return null;
    }
  }

  function versionAt(bytes: Buffer, place: number): number {
    source = bytes;
    position = place;
    return getNumber();
  }

  return {
    versionAt,
    unpack(stream, ofIt, bytes, place) {
      const version = versionAt(bytes, place);
      vocabulary = ofIt;
      id = stream.id;
      created = getFixed(TIME_BYTES);
      changed = created + getNumber();
      owner = get() as Owner;
      return { kind: stream.kind, id, version, owner, created, changed, state: get() };
    },
  };
}

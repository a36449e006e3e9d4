import { randomInt } from "node:crypto";
import type { RecordedEvent, StreamRecord } from "../store/port.ts";
import { createPacker } from "./pack.ts";
import { createUnpacker } from "./unpack.ts";
import { createVocabulary, type Vocabulary } from "./vocabulary.ts";

/** What the words and shapes of a generation may take, bytes: this much, or this part of it. */
const VOCABULARY = { most: 2 ** 20, part: 1 / 16 };
/** Bytes of records for one slot of the index, which takes four: no more than the smallest records have. */
const BYTES_PER_SLOT = 40;
/** Slots in which one id may be. */
const MAX_PROBES = 32;
/** Instead of a version: what was known is not true any more. */
const FORGOTTEN = 0;

/**
 * The last known states of streams of one kind. Whether they still are only the store knows, which is told the version
 * and the time of the one that a change was decided on.
 */
export interface StateCache {
  readonly kind: string;
  get(id: string): StreamRecord | undefined;
  /** Keeps the record, unless a later version of it is there, or it is too large. */
  put(record: StreamRecord): void;
  /** Drops what is there of this version or an earlier one. */
  forget(id: string, version: number): void;
  /** Drops what the events show to be out of date. */
  outdate(events: readonly RecordedEvent[]): void;
}

/** Records one behind the other, and where each begins. */
interface Generation {
  vocabulary: Vocabulary;
  records: Buffer;
  /** Where the next one goes. None begins at 0. */
  end: number;
  /** 0 if free. Else the place of a record in the lower bits and, above them, as much as fits of the hash of its id. */
  slots: Uint32Array;
  placeBits: number;
}

/**
 * Keeps to so many bytes, 1 MiB to 4 GiB, and takes them only as they fill. They are halved between two generations:
 * what is put goes into the younger one, and when that is full the older one is thrown away, to begin anew as the
 * younger. So of what was put last as much stays as one of them holds, at least, and a record needs no more than its
 * own few bytes and a slot: no object, no list. To read it does not make it younger: whoever changes an object by it
 * puts the next version, and who does not was served by the store. Earlier versions are waste until their generation
 * goes.
 */
export function createStateCache({ kind, bytes }: { kind: string; bytes: number }): StateCache {
  // Ids are chosen by callers, who shall not know which ones meet in a slot.
  const seed = randomInt(2 ** 32);
  const vocabularyBytes = Math.min(VOCABULARY.most, (bytes / 2) * VOCABULARY.part);
  let young = emptyGeneration(bytes / 2, vocabularyBytes);
  let old = emptyGeneration(bytes / 2, vocabularyBytes);

  const { scratch, packId, pack } = createPacker();
  const { versionAt, unpack } = createUnpacker();

  /** The id that is looked for is in scratch, as records begin with it: so many bytes. */
  let keySize = 0;
  let hash = 0;

  /** False for an id that no record here can have. */
  function lookFor(id: string): boolean {
    keySize = packId(id);
    hash = hashOf(scratch, keySize, seed);
    return keySize > 0;
  }

  /** The slot of the id if it has one, else the complement of the one that it may take. */
  function slotIn({ slots, placeBits, records }: Generation): number {
    const first = hash % slots.length;
    for (let probe = 0, slot = first; probe < MAX_PROBES; probe++) {
      const value = slots[slot] as number;
      if (value === 0) return ~slot;
      if ((value ^ hash) >>> placeBits === 0 && isKeyAt(records, placeIn(value, placeBits))) return slot;
      slot = slot + 1 === slots.length ? 0 : slot + 1;
    }
    // Whoever has it gives way.
    return ~first;
  }

  function isKeyAt(records: Buffer, place: number): boolean {
    for (let index = 0; index < keySize; index++) if (records[place + index] !== scratch[index]) return false;
    return true;
  }

  /** The place behind the id in its record; 0 if there is none. */
  function placeOf(generation: Generation): number {
    const slot = slotIn(generation);
    return slot < 0 ? 0 : placeIn(generation.slots[slot] as number, generation.placeBits) + keySize;
  }

  /** Forgets what is known up to the version of the id that is looked for. Whether a later version stays. */
  function forgetUpTo(version: number): boolean {
    let hasLater = false;
    for (const generation of [young, old]) {
      const place = placeOf(generation);
      if (place === 0) continue;
      if (versionAt(generation.records, place) > version) hasLater = true;
      else generation.records[place] = FORGOTTEN;
    }
    return hasLater;
  }

  function turn(): void {
    const { records, slots, placeBits } = old;
    old = young;
    young = { vocabulary: createVocabulary(vocabularyBytes), records, end: 1, slots: slots.fill(0), placeBits };
  }

  function forget(id: string, version: number): void {
    if (lookFor(id)) forgetUpTo(version);
  }

  return {
    kind,
    get(id) {
      if (!lookFor(id)) return undefined;
      let generation = young;
      let place = placeOf(young);
      if (place === 0) {
        generation = old;
        place = placeOf(old);
      }
      const { vocabulary, records } = generation;
      return place === 0 || records[place] === FORGOTTEN ? undefined : unpack({ kind, id }, vocabulary, records, place);
    },
    put(record) {
      if (!lookFor(record.id) || forgetUpTo(record.version)) return;
      let size = pack(record, young.vocabulary);
      if (young.end + size > young.records.length) {
        turn();
        size = pack(record, young.vocabulary);
      }
      if (size === 0) return;
      const { records, slots, end, placeBits } = young;
      const slot = slotIn(young);
      scratch.copy(records, end, 0, size);
      slots[slot < 0 ? ~slot : slot] = ((hash >>> placeBits) << placeBits) | end;
      young.end += size;
    },
    forget,
    outdate(events) {
      for (const event of events) if (event.kind === kind) forget(event.id, event.version - 1);
    },
  };
}

function emptyGeneration(bytes: number, vocabularyBytes: number): Generation {
  const slots = new Uint32Array(Math.floor((bytes - vocabularyBytes) / (BYTES_PER_SLOT + 4)));
  // Neither takes memory before it is written to.
  const records = Buffer.alloc(BYTES_PER_SLOT * slots.length);
  return {
    vocabulary: createVocabulary(vocabularyBytes),
    records,
    end: 1,
    slots,
    placeBits: 32 - Math.clz32(records.length),
  };
}

function placeIn(slot: number, placeBits: number): number {
  return slot & (2 ** placeBits - 1);
}

/** FNV-1a from another beginning, its bits mixed once more (after MurmurHash3), for high and low ones are both used. */
function hashOf(bytes: Buffer, size: number, seed: number): number {
  let hash = seed;
  for (let index = 0; index < size; index++) hash = Math.imul(hash ^ (bytes[index] as number), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

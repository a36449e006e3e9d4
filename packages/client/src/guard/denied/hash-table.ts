/** A set of hashes of 64 bits. It takes 8 bytes a place, and 8 more if hashes have ends. */
export interface HashTable {
  /** The place of the hash, or -1. */
  find(high: number, low: number): number;
  /** The end of the hash at a place. */
  endAt(place: number): number;
  /** Adds the hash, or replaces its end. */
  put(high: number, low: number, end?: number): void;
  /** Returns whether it was there. */
  remove(high: number, low: number): boolean;
  readonly size: number;
  /** The memory of the hashes, bytes. */
  readonly bytes: number;
}

/** More hashes than these per place make it grow by a half; fewer make it shrink. */
const MAX_LOAD = 0.75;
const MIN_LOAD = 0.2;
const MIN_CAPACITY = 16;

/** Creates an empty set, with open addressing and linear probes. */
export function createHashTable({ hasEnds }: { hasEnds: boolean }): HashTable {
  let capacity = MIN_CAPACITY;
  /** High and low half of each place. Both are 0 where nothing is. */
  let slots = new Uint32Array(2 * capacity);
  let ends = new Float64Array(hasEnds ? capacity : 0);
  let size = 0;

  /** The hash with the value of an empty place becomes its neighbour. */
  const lowOf = (high: number, low: number) => (high === 0 && low === 0 ? 1 : low);
  /** Places follow the order of hashes, so any capacity works and not only powers of two. */
  const homeOf = (high: number) => Math.floor((high / 2 ** 32) * capacity);
  const isEmpty = (place: number) => slots[2 * place] === 0 && slots[2 * place + 1] === 0;
  const next = (place: number) => (place + 1 === capacity ? 0 : place + 1);

  /** The place of the hash, or the empty place where it belongs. */
  function probe(high: number, low: number): number {
    let place = homeOf(high);
    while (!isEmpty(place) && !(slots[2 * place] === high && slots[2 * place + 1] === low)) place = next(place);
    return place;
  }

  function resize(to: number): void {
    const [oldSlots, oldEnds, oldCapacity] = [slots, ends, capacity];
    capacity = Math.max(to, MIN_CAPACITY);
    slots = new Uint32Array(2 * capacity);
    ends = new Float64Array(hasEnds ? capacity : 0);
    for (let old = 0; old < oldCapacity; old++) {
      const [high, low] = [oldSlots[2 * old] as number, oldSlots[2 * old + 1] as number];
      if (high === 0 && low === 0) continue;
      copyTo(probe(high, low), high, low, oldEnds[old]);
    }
  }

  function copyTo(place: number, high: number, low: number, end: number | undefined): void {
    slots[2 * place] = high;
    slots[2 * place + 1] = low;
    if (hasEnds) ends[place] = end as number;
  }

  return {
    find(high, low) {
      const place = probe(high, lowOf(high, low));
      return isEmpty(place) ? -1 : place;
    },
    endAt: (place) => ends[place] as number,
    put(high, given, end) {
      const low = lowOf(high, given);
      let place = probe(high, low);
      if (isEmpty(place)) {
        size++;
        if (size > MAX_LOAD * capacity) {
          resize(Math.ceil(1.5 * capacity));
          place = probe(high, low);
        }
      }
      copyTo(place, high, low, end);
    },
    remove(high, low) {
      let hole = probe(high, lowOf(high, low));
      if (isEmpty(hole)) return false;
      // Later hashes of the same run move up, unless that would put them before their home.
      for (let place = next(hole); !isEmpty(place); place = next(place)) {
        const fromHome = (place - homeOf(slots[2 * place] as number) + capacity) % capacity;
        if (fromHome < (place - hole + capacity) % capacity) continue;
        copyTo(hole, slots[2 * place] as number, slots[2 * place + 1] as number, ends[place]);
        hole = place;
      }
      copyTo(hole, 0, 0, 0);
      size--;
      if (capacity > MIN_CAPACITY && size < MIN_LOAD * capacity) resize(Math.ceil(size / 0.5));
      return true;
    },
    get size() {
      return size;
    },
    get bytes() {
      return slots.byteLength + ends.byteLength;
    },
  };
}

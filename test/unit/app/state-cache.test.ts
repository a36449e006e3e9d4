import fc from "fast-check";
import { createStateCache } from "../../../src/app/state-cache.ts";
import type { RecordedEvent, StreamRecord } from "../../../src/store/port.ts";
import { START } from "../../support/user-story.ts";

const MIB = 2 ** 20;
const OWNER = { type: "instance", id: "default" } as const;

const recordOf = (id: string, version = 1, state: unknown = { id, owner: OWNER, version }): StreamRecord => ({
  kind: "user",
  id,
  version,
  owner: OWNER,
  created: START,
  changed: START + version,
  state,
});

const eventOf = (id: string, version: number, kind = "user"): RecordedEvent => ({
  cursor: "1",
  kind,
  id,
  version,
  type: `${kind}.changed`,
  data: {},
  owner: OWNER,
  userId: undefined,
  time: START,
  actor: { subject: "operator" },
});

const cacheOf = (bytes = MIB) => createStateCache({ kind: "user", bytes });
const fill = (length: number) => ({ filling: "!x".repeat(length / 2) });

const id = fc.constantFrom("", "ann", "bob", "日本", "176400000000000001234567", "176400000000000001234568", "1", "01");
const version = fc.integer({ min: 1, max: 300 });
type Act = { act: "put" | "forget" | "outdate"; id: string; version: number };
const acts: fc.Arbitrary<Act> = fc.record({ act: fc.constantFrom("put", "put", "forget", "outdate"), id, version });

/** What must come of it, in the plainest way. */
function modelOf() {
  const records = new Map<string, StreamRecord>();
  const forget = (of: string, upTo: number) => {
    if ((records.get(of)?.version ?? 0) <= upTo) records.delete(of);
  };
  return {
    get: (of: string) => records.get(of),
    apply({ act, id: of, version: its }: Act) {
      if (act === "forget") forget(of, its);
      else if (act === "outdate") forget(of, its - 1);
      else if ((records.get(of)?.version ?? 0) <= its) records.set(of, recordOf(of, its));
    },
  };
}

function apply(cache: ReturnType<typeof cacheOf>, { act, id: of, version: its }: Act): void {
  if (act === "put") cache.put(recordOf(of, its));
  else if (act === "forget") cache.forget(of, its);
  else cache.outdate([eventOf(of, its)]);
}

describe("a cache", () => {
  test("with room for all says what was put last, and nothing that was forgotten", () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 100 }), (all) => {
        const cache = cacheOf();
        const model = modelOf();
        for (const one of all) {
          apply(cache, one);
          model.apply(one);
          expect(cache.get(one.id)).toEqual(model.get(one.id));
        }
      }),
    );
  });

  test("with too little room forgets, and says nothing that is out of date", () => {
    const cache = cacheOf();
    const model = modelOf();
    let known = 0;
    let asked = 0;
    const names = fc.sample(fc.constantFrom<Act["act"]>("put", "put", "put", "forget", "outdate"), 60_000);
    const ids = fc.sample(fc.integer({ min: 0, max: 12_000 }), 60_000).map((number) => `user ${number}`);
    for (const [index, act] of names.entries()) {
      // Versions only grow, as in the store.
      const one: Act = { act, id: ids[index] as string, version: index + 1 };
      apply(cache, one);
      model.apply(one);
      if (index % 7 > 0) continue;
      const who = ids[(index * 31) % ids.length] as string;
      const found = cache.get(who);
      if (found) expect(found).toEqual(model.get(who));
      if (found) known++;
      if (model.get(who)) asked++;
    }
    expect(known).toBeGreaterThan(asked / 10);
    expect(known).toBeLessThan(asked);
  });

  test("forgets first what was put first, whatever was asked for, and keeps what half of its bytes hold", () => {
    const cache = cacheOf();
    const ids = Array.from({ length: 5_000 }, (_, index) => `user ${index}`);
    for (const one of ids) {
      cache.put(recordOf(one, 1, fill(1_000)));
      cache.get("user 0");
      // Put again and again, it stays.
      cache.put(recordOf("always", 1 + Number(one.slice(5))));
    }
    const known = ids.map((one) => cache.get(one) !== undefined);
    const first = known.indexOf(true);
    expect(known.slice(first)).not.toContain(false);
    expect(known.length - first).toBeGreaterThan((0.4 * MIB) / 1_000);
    expect(known.length - first).toBeLessThan(MIB / 1_000);
    expect(cache.get("always")?.version).toBe(5_000);
  });

  test("keeps many small ones whose ids meet in its index", () => {
    const cache = cacheOf();
    const ids = Array.from({ length: 30_000 }, (_, index) => `${index}`);
    for (const one of ids) cache.put(recordOf(one, 1, {}));
    const known = ids.filter((one) => cache.get(one));
    expect(known.length).toBeGreaterThan(10_000);
    for (const one of known) expect(cache.get(one)).toEqual(recordOf(one, 1, {}));
  });

  test.each([1, 16])("of %d MiB takes no more than that, however much is put", (mebibytes) => {
    const memory = () => process.memoryUsage().arrayBuffers;
    const before = memory();
    const cache = cacheOf(mebibytes * MIB);
    for (let index = 0; index < 50_000; index++) {
      cache.put(recordOf(`user ${index}`, 1, { [`key ${index}`]: `word ${index}`, ...fill(index % 2_000) }));
    }
    // What is packed at the moment, too.
    expect(memory() - before).toBeLessThan(mebibytes * MIB + 100_000);
    expect(cache.get("user 49999")).toBeDefined();
  });

  test("drops what was known of an object whose next version it cannot keep", () => {
    const cache = cacheOf();
    cache.put(recordOf("ann", 1));
    cache.put(recordOf("ann", 2, fill(20_000)));
    expect(cache.get("ann")).toBeUndefined();
  });

  test("knows nothing of an id that cannot be", () => {
    const cache = cacheOf();
    for (const one of ["\ud800", "x".repeat(10_000)]) {
      cache.put(recordOf(one));
      cache.forget(one, 1);
      expect(cache.get(one)).toBeUndefined();
    }
  });

  test("passes events of other kinds over", () => {
    const cache = cacheOf();
    cache.put(recordOf("ann", 1));
    cache.outdate([eventOf("ann", 2, "session"), eventOf("ann", 1)]);
    expect(cache.get("ann")).toEqual(recordOf("ann", 1));
    cache.outdate([eventOf("bob", 1), eventOf("ann", 2)]);
    expect(cache.get("ann")).toBeUndefined();
  });
});

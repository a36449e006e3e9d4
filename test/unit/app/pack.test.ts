import fc from "fast-check";
import { createPacker } from "../../../src/app/pack.ts";
import { MAX_PACKED } from "../../../src/app/packed-form.ts";
import { createUnpacker } from "../../../src/app/unpack.ts";
import { createVocabulary } from "../../../src/app/vocabulary.ts";
import type { User } from "../../../src/domain/user-state.ts";
import type { StreamRecord } from "../../../src/store/port.ts";
import {
  command,
  HASH,
  lock,
  right,
  START,
  setPassword,
  tell,
  timeAt,
  unlock,
  wrong,
  wrongs,
} from "../../support/user-story.ts";

const OWNER = { type: "org", id: "acme" } as const;
const ID = "176400000000000001234567";
const CREATED = START;
const CHANGED = timeAt(90);

const recordOf = (state: unknown, more: Partial<StreamRecord> = {}): StreamRecord => ({
  kind: "user",
  id: ID,
  version: 3,
  owner: OWNER,
  created: CREATED,
  changed: CHANGED,
  state,
  ...more,
});

const asJson = (record: StreamRecord) => JSON.parse(JSON.stringify(record)) as StreamRecord;

/** Packs them all one behind the other, and only then reads them. Undefined stands for one that cannot be packed. */
function passThrough(records: readonly StreamRecord[], vocabularyBytes = 2 ** 20) {
  const { scratch, pack, packId } = createPacker();
  const { unpack, versionAt } = createUnpacker();
  const vocabulary = createVocabulary(vocabularyBytes);
  const packed = records.map((record) => Buffer.from(scratch.subarray(0, pack(record, vocabulary))));
  const sizes = packed.map(({ length }) => length);
  const bytes = Buffer.concat(packed);
  let end = 0;
  const read = records.map((record, index) => {
    const place = end + packId(record.id);
    end += sizes[index] as number;
    if (sizes[index] === 0) return undefined;
    expect(versionAt(bytes, place)).toBe(record.version);
    return unpack(record, vocabulary, bytes, place);
  });
  return { read, sizes };
}

function expectExact(records: readonly StreamRecord[], vocabularyBytes?: number): void {
  const { read } = passThrough(records, vocabularyBytes);
  expect(read).toStrictEqual(records.map(asJson));
  // The order of the keys, too.
  expect(JSON.stringify(read)).toBe(JSON.stringify(records));
}

const NUMBERS = [
  ...[0, 1, 46, 47, 48, 127, 128, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 2 ** 80],
  ...[-1, -47, -(2 ** 31), -(2 ** 53 - 1), 0.1, -0.1, 1e308, 5e-324],
  ...[CREATED, CREATED - 1, CREATED + 1, CHANGED, CHANGED - 1, CHANGED + 1],
  ...[CHANGED - 2 ** 42, CHANGED + 2 ** 42, CHANGED - 2 ** 42 + 1, CHANGED + 2 ** 42 - 1],
];

const DIGITS = "000000000000123456789012999999999999";
const BASE64 = "ABCDwxyz0189+/+/efgh/9876543210ZZZ";
const TEXTS = [
  ...[`${ID.slice(0, 12)}000000000000`, `${ID.slice(0, 12)}999999999999`, `${ID.slice(0, 11)}9${ID.slice(12)}`],
  ...[
    `${ID.slice(0, 23)}x`,
    ID.slice(0, 23),
    "ann@example.com",
    "ann@acme@example.com",
    "@@@@@@@@@@@@@@@@",
    "$@$@$@$@$@$@$@$@",
  ],
  ...["", " ", "$", "$$", ID, `${ID}0`, OWNER.id, "active", "0", "0x10", "1e3", "-1", "1.5", "\u0000", "\n"],
  ...Array.from(DIGITS, (_, index) => DIGITS.slice(index)),
  ...Array.from(BASE64, (_, index) => BASE64.slice(index)),
  ...Array.from(BASE64, (_, index) => BASE64.slice(index).replaceAll("+", "-").replaceAll("/", "_")),
  ...["ABCDwxyz0189+/-_efgh", "ABCDwxyz0189ABCDwxyz==", "ÄBCDwxyz0189ABCDwxyz"],
  "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
  "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
  ...["zoë@example.com", "ÿ".repeat(60), "Ā", "σς", "日本語", "👩‍👩‍👧", "é👍".repeat(50)],
  ...["a".repeat(39), "a".repeat(40), "a".repeat(700), "\u{10FFFF}".repeat(200)],
];

describe("what comes out is what went in", () => {
  test.each(NUMBERS)("%d", (number) => {
    expectExact([recordOf(number), recordOf({ number, numbers: [number, number] })]);
  });

  test.each(TEXTS)("%j", (text) => {
    expectExact([recordOf(text), recordOf({ text, texts: [text, text], [text]: text }), recordOf({ text })]);
  });

  test.each([
    [null],
    [true],
    [false],
    [{}],
    [[]],
    [[[], {}, [{}]]],
    [{ owner: OWNER, other: { ...OWNER }, third: { id: OWNER.id } }],
    [{ b: 1, a: 2, "10": 3, "9": 4 }],
    [{ constructor: 1, toString: 2, hasOwnProperty: 3 }],
    [Object.assign(Object.create(null), { a: 1 })],
    [JSON.parse(`${"[".repeat(30)}${"]".repeat(30)}`)],
    [Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`key ${index}`, index]))],
    [{ ["key".repeat(20)]: 1 }],
  ])("%j", (state) => {
    expectExact([recordOf(state)]);
  });

  test("a zero has no sign, and what is undefined is left out, as in JSON", () => {
    expectExact([recordOf({ zero: -0 }), recordOf({ a: undefined, b: 1, c: undefined })]);
  });

  test.each([
    [{ version: 1, created: 0, changed: 0 }],
    [{ version: 2 ** 31, created: 1, changed: 2 ** 53 - 1 }],
    [{ id: "ann", owner: { type: "instance", id: "" } as const }],
    [{ id: "日本", owner: { type: "org", id: "日本" } as const }],
    [{ id: "" }],
    [{ id: "0123456789012345", owner: { type: "org", id: "0123456789019999" } as const }],
    [{ id: "0123456789012", owner: { type: "org", id: "0123456789019" } as const }],
    [{ id: "012345678901", owner: { type: "org", id: "012345678902" } as const }],
    [{ id: "01234567890x2345", owner: { type: "org", id: "01234567890x9999" } as const }],
    [{ id: DIGITS.slice(0, 25), owner: { type: "org", id: `${DIGITS.slice(0, 24)}9` } as const }],
    [{ id: "x".repeat(200) }],
  ])("with %j", (more) => {
    expectExact([recordOf({ id: ID }, more)]);
  });

  const anyId = fc.oneof(fc.string({ unit: "binary" }), fc.stringMatching(/^\d{1,30}$/));
  const anyRecord = fc
    .record({
      id: anyId,
      version: fc.integer({ min: 1 }),
      created: fc.maxSafeNat(),
      since: fc.maxSafeNat(),
      owner: fc.record({ type: fc.constantFrom("org" as const, "instance" as const), id: anyId }),
      state: fc.jsonValue({ stringUnit: "binary", maxDepth: 6 }),
    })
    .map(({ since, ...record }) => recordOf(record.state, { ...record, changed: Math.max(record.created, since) }))
    .filter(({ state }) => !JSON.stringify(state).includes('"__proto__":'));

  test("whatever it is", () => {
    fc.assert(fc.property(fc.array(anyRecord, { maxLength: 20 }), (records) => expectExact(records)));
  });

  test("also once the vocabulary is full", () => {
    fc.assert(fc.property(fc.array(anyRecord, { maxLength: 20 }), (records) => expectExact(records, 2_000)));
  });

  test("after thousands of other texts and shapes", () => {
    const states = Array.from({ length: 5_000 }, (_, index) => ({
      reason: `reason ${index % 200}`,
      note: `note ${index}`,
      [`key ${index % 3_000}`]: { text: `text ${index % 3}`, index },
    }));
    expectExact(states.map((state) => recordOf(state)));
  });
});

/** Stories, and the users that they end with. */
const USERS: [story: string, user: User][] = (
  [
    ["new", []],
    ["locked", [lock(1)]],
    ["locked for an hour", [lock(1, { duration: 3_600_000_000 })]],
    ["unlocked", [lock(1), unlock(2)]],
    ["deleted", [command(1, { type: "delete" })]],
    ["after wrong passwords", [...wrongs(3, 1), wrong(9, "again", "phone")]],
    ["locked by wrong passwords", wrongs(5, 1)],
    ["logged in, with another password", [right(1, "phone"), setPassword(2)]],
    [
      "with a name",
      [command(1, { type: "add_username", username: { id: "n1", name: "Ann", organizationSpecific: false } })],
    ],
    [
      "with much of everything",
      [
        command(1, {
          type: "patch",
          profile: {
            schemaId: "person",
            data: { name: { first: "Ann", last: "Öz" }, tags: ["a", 1, null, 0.5], tall: true },
            email: { address: "ann@example.com", verified: true },
            phone: { number: "+41446681800", verified: false },
          },
        }),
        command(2, { type: "add_username", username: { id: "n1", name: "Ann", organizationSpecific: false } }),
        lock(3),
      ],
    ],
  ] as const
).map(([story, steps]) => [story, tell(steps).state]);

test.each(USERS)("a user who is %s comes out as he went in", (_, state) => {
  expect(state.owner).toBeDefined();
  expectExact([recordOf(state, { id: state.id, owner: state.owner }), recordOf(state)]);
});

test("each time anew: who changes what he was given changes it for nobody else", () => {
  const { pack, packId, scratch } = createPacker();
  const { unpack } = createUnpacker();
  const vocabulary = createVocabulary(2 ** 20);
  const record = recordOf({ owner: OWNER, names: ["a"] });
  const bytes = Buffer.from(scratch.subarray(0, pack(record, vocabulary)));
  const first = unpack(record, vocabulary, bytes, packId(ID)).state as { owner: { id: string }; names: string[] };
  first.owner.id = "other";
  first.names.push("b");
  expect(unpack(record, vocabulary, bytes, packId(ID))).toStrictEqual(record);
});

const deep = JSON.parse(`${"[".repeat(40)}${"]".repeat(40)}`);
const cyclic: Record<string, unknown> = {};
cyclic.self = cyclic;

test.each<[name: string, record: StreamRecord]>([
  ["nested too deep", recordOf(deep)],
  ["a circle", recordOf(cyclic)],
  ["too large a text", recordOf("é".repeat(MAX_PACKED))],
  ["too many texts", recordOf(Array.from({ length: MAX_PACKED }, (_, index) => `text ${index}`))],
  ["too many words", recordOf({ words: Array.from({ length: MAX_PACKED }, () => "word") })],
  ["too many parts", recordOf("$".repeat(MAX_PACKED))],
  ["an array that is too long", recordOf(Array(MAX_PACKED).fill(null))],
  ["an array with a hole", recordOf(Array(2))],
  ["an array with nothing at a place", recordOf([undefined])],
  ["no number", recordOf({ a: Number.NaN })],
  ["a number without end", recordOf(Number.POSITIVE_INFINITY)],
  ["a bigint", recordOf({ a: 1n })],
  ["a function", recordOf({ toJSON: () => 1 })],
  ["a date", recordOf({ a: new Date(0) })],
  ["a map", recordOf(new Map([[1, 2]]))],
  ["undefined", recordOf(undefined)],
  ["half a surrogate pair", recordOf("\ud800")],
  ["half a surrogate pair among the keys", recordOf({ "\udc00": 1 })],
  ["a key that would set the prototype", recordOf(JSON.parse('{"__proto__": 1}'))],
  ["an id with half a surrogate pair", recordOf({}, { id: "\ud800" })],
  ["an id that is too long", recordOf({}, { id: "x".repeat(MAX_PACKED) })],
  ["a change before the creation", recordOf({}, { created: CHANGED, changed: CREATED })],
  ["a time below zero", recordOf({}, { created: -1 })],
  ["a time with a fraction", recordOf({}, { created: 0.5, changed: 0.5 })],
])("%s is not packed, and what follows is as if it had not been tried", (_, record) => {
  const next = recordOf({ words: ["word", HASH], deep: [[]] });
  const { read, sizes } = passThrough([next, record, next], 2_000);
  expect(sizes[1]).toBe(0);
  expect(read).toStrictEqual([next, undefined, next]);
});

test("a locked user takes about 40 bytes, one with a name 60, one with a name, an address and a password 135", () => {
  const users = Array.from({ length: 1_000 }, (_, index): StreamRecord[] => {
    const id = `${1_764_000_000_000 + 17 * index}00000123456`;
    const created = START + 17_000 * index + 123;
    const changed = created + 3_600_000_000 + 7_919_000 * index;
    const state = {
      id,
      owner: OWNER,
      lifecycle: "active",
      usernames: [],
      lock: { cause: "manual", reason: "fraud", note: "", by: "operator", since: changed },
      epoch: 1,
    };
    const usernames = [{ id: `${id.slice(0, 13)}00010123456`, name: `user-${index}`, organizationSpecific: false }];
    const digest = (bytes: number, salt: string) =>
      Buffer.from(`${salt}${index}`.padEnd(bytes, salt)).toString("base64").replaceAll("=", "");
    const password = {
      hash: `$argon2id$v=19$m=19456,t=2,p=1$${digest(16, "salt")}$${digest(32, "hash")}`,
      changed: created,
      changeRequired: false,
    };
    const email = { address: `user-${index}@example.com`, verified: true };
    const record = (more: object) => recordOf({ ...state, ...more }, { id, created, changed });
    return [record({}), record({ usernames }), record({ usernames, email, password })];
  });
  const mean = (kind: number) => {
    const { sizes } = passThrough(users.map((kinds) => kinds[kind] as StreamRecord));
    return sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
  };
  expect([mean(0), mean(1), mean(2)].map((size) => Math.ceil(size / 5) * 5)).toEqual([40, 60, 135]);
});

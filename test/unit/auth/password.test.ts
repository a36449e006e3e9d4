// Proves that passwords are hashed and checked, all at the same cost.
import { hash as argon2Hash } from "@node-rs/argon2";
import { hash as bcryptHash } from "@node-rs/bcrypt";
import { createPasswordHasher, isSupportedHash } from "../../../src/auth/password.ts";

const CHEAP = { memoryKib: 64, passes: 1, lanes: 1 };
const CHEAP_PREFIX = "$argon2id$v=19$m=64,t=1,p=1$";

/** Hashes of "p" as other programs made them, and of "q". */
const SALT = "dWYd4GqmI1vwotaxN5KOIw";
const TAG = "J8gOLdCQ35xjwab5iIqkVDwEPo6cmIgA8sYFK7DjxlI";
const ARGON2I = `$argon2i$v=19$m=64,t=1,p=1$${SALT}$${TAG}`;
const ARGON2ID_2_LANES =
  "$argon2id$v=19$m=64,t=2,p=2$igHivy/cjM6PIDzauE+j0Q$fmvE1skNpwPIrLgjFRGT+u8vhTvFcOHP81xVjNgUQdI";
const LONG = `${"x".repeat(72)}and more`;
const BCRYPT = "$2y$04$iJUStS07YUKyAM1FuG4XIeG1AzohZR0WHC5sp9UHt3QcZNuRpSumC";

test("a hash is argon2id in PHC form, of the cost that is set, and another one each time", async () => {
  const hasher = createPasswordHasher(CHEAP);
  const [one, two] = [await hasher.hash("p"), await hasher.hash("p")];
  expect(one.startsWith(CHEAP_PREFIX)).toBe(true);
  expect(one).not.toBe(two);
  expect(isSupportedHash(one)).toBe(true);
});

test.each<[what: string, password: string]>([
  ["ASCII", "correct horse battery staple"],
  ["beyond ASCII", "пароль 🔑"],
  ["1,000 characters", "x".repeat(1_000)],
  ["a zero in it", "a\0b"],
])("a password of %s is right for its own hash, and no other is", async (_what, password) => {
  const hasher = createPasswordHasher(CHEAP);
  const hash = await hasher.hash(password);
  expect(await hasher.verify(password, hash)).toEqual({ isRight: true, isOutdated: false });
  for (const other of [`${password} `, password.slice(0, -1), password.toUpperCase()]) {
    expect((await hasher.verify(other, hash)).isRight).toBe(other === password);
  }
});

/** Hashes from elsewhere: whether they are taken, and if so, that they can be checked. */
const HASHES: [what: string, hash: string, isSupported: boolean][] = [
  ["argon2i", ARGON2I, true],
  ["argon2id of two lanes", ARGON2ID_2_LANES, true],
  ["bcrypt 2y", BCRYPT, true],
  ["bcrypt 2a", BCRYPT.replace("$2y", "$2a"), true],
  ["bcrypt 2b", BCRYPT.replace("$2y", "$2b"), true],
  ["bcrypt 2x, which is of a program with a fault", BCRYPT.replace("$2y", "$2x"), false],
  ["bcrypt, cost 3", BCRYPT.replace("$04", "$03"), false],
  ["bcrypt, cost 16", BCRYPT.replace("$04", "$16"), false],
  ["bcrypt, too short", BCRYPT.slice(0, -1), false],
  ["bcrypt, and a line break", `${BCRYPT}\n`, false],
  ["argon2d", ARGON2I.replace("argon2i", "argon2d"), false],
  ["argon2 of version 1.0", ARGON2I.replace("v=19", "v=16"), false],
  ["argon2 without a version", ARGON2I.replace("v=19$", ""), false],
  ["256 MiB", ARGON2I.replace("m=64", "m=262144"), true],
  ["more than 256 MiB", ARGON2I.replace("m=64", "m=262145"), false],
  ["7 KiB, less than argon2 takes", ARGON2I.replace("m=64", "m=7"), false],
  ["9 lanes in 64 KiB, more than argon2 takes", ARGON2I.replace("p=1", "p=9"), false],
  ["21 passes", ARGON2I.replace("t=1", "t=21"), false],
  ["no passes", ARGON2I.replace("t=1", "t=0"), false],
  ["17 lanes", ARGON2I.replace("m=64", "m=6400").replace("p=1", "p=17"), false],
  ["no lanes", ARGON2I.replace("p=1", "p=0"), false],
  ["a number with a zero before it", ARGON2I.replace("m=64", "m=064"), false],
  ["a salt of 7 bytes", ARGON2I.replace(SALT, "AAAAAAAAAA"), false],
  ["a salt that is no base64", ARGON2I.replace(SALT, SALT.slice(0, 13)), false],
  ["a salt with bits left over", ARGON2I.replace(SALT, `${SALT.slice(0, -1)}B`), false],
  ["a salt with padding", ARGON2I.replace(SALT, `${SALT}==`), false],
  ["a tag that is no base64", ARGON2I.replace(TAG, TAG.slice(0, 17)), false],
  ["a tag of URLs' base64", ARGON2I.replace(TAG, TAG.replace("J", "-")), false],
  ["argon2, and a line break", `${ARGON2I}\n`, false],
  ["scrypt", "$scrypt$ln=15,r=8,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo", false],
  ["SHA-512 of crypt", "$6$saltsalt$hash", false],
  ["a plain password", "correct horse battery staple", false],
  ["nothing", "", false],
];

test.each(HASHES)("a hash from elsewhere, %s: %s: taken: %s", async (_what, hash, isSupported) => {
  expect(isSupportedHash(hash)).toBe(isSupported);
});

test.each(HASHES.filter(([what, , isSupported]) => isSupported && what !== "256 MiB"))(
  "%s is checked, and outdated",
  async (_what, hash) => {
    const hasher = createPasswordHasher(CHEAP);
    expect(await hasher.verify("p", hash)).toEqual({ isRight: true, isOutdated: true });
    expect((await hasher.verify("q", hash)).isRight).toBe(false);
  },
);

test("a hash of another cost is outdated", async () => {
  const hash = await createPasswordHasher({ ...CHEAP, passes: 2 }).hash("p");
  expect(await createPasswordHasher(CHEAP).verify("p", hash)).toEqual({ isRight: true, isOutdated: true });
});

describe("a password that can be written in several ways", () => {
  const WAYS: [what: string, nfc: string, other: string][] = [
    ["accents", "p\u00e4ss\u00e9", "pa\u0308sse\u0301"],
    ["Hangul", "\uac00\uac01", "\u1100\u1161\u1100\u1161\u11a8"],
    ["a singleton", "\u00c5ngstr\u00f6m", "\u212bngstro\u0308m"],
  ];

  test.each(WAYS)("is one password, whichever is set and whichever is typed: %s", async (_what, ...ways) => {
    const hasher = createPasswordHasher(CHEAP);
    for (const set of ways) {
      const hash = await hasher.hash(set);
      for (const typed of ways) expect(await hasher.verify(typed, hash)).toEqual({ isRight: true, isOutdated: false });
    }
  });

  test.each(WAYS)("goes on with a hash of how it was typed, which is outdated: %s", async (_what, nfc, other) => {
    const hasher = createPasswordHasher(CHEAP);
    const old = await argon2Hash(other, { memoryCost: 64, timeCost: 1, parallelism: 1 });
    expect(await hasher.verify(other, old)).toEqual({ isRight: true, isOutdated: true });
    expect(await hasher.verify(nfc, old)).toMatchObject({ isRight: false });
    expect(await hasher.verify(nfc, await hasher.hash(other))).toEqual({ isRight: true, isOutdated: false });
  });

  test("is another one where it only looks alike", async () => {
    const hasher = createPasswordHasher(CHEAP);
    const hash = await hasher.hash("\ufb01ne");
    expect(await hasher.verify("fine", hash)).toMatchObject({ isRight: false });
  });

  test("costs as much whether it is right, wrong or pretended", async () => {
    const hasher = createPasswordHasher({ memoryKib: 16_384, passes: 2, lanes: 1 });
    const [, nfc, other] = WAYS[0] as (typeof WAYS)[0];
    const right = await hasher.hash(nfc);
    const wrong = await hasher.hash("wrong");
    const works = [
      () => hasher.verify(other, right),
      () => hasher.verify(other, wrong),
      () => hasher.pretend(other),
      () => hasher.pretend(other, right),
    ];
    const fastest = works.map(() => Infinity);
    for (let round = 0; round < 7; round++) {
      for (const [index, work] of works.entries()) {
        const start = performance.now();
        await work();
        fastest[index] = Math.min(fastest[index] as number, performance.now() - start);
      }
    }
    expect(Math.max(...fastest) / Math.min(...fastest)).toBeLessThan(1.7);
  });
});

test.each<[bytes: string, typed: string, isOutdated: boolean]>([
  ["71", LONG.slice(0, 71), true],
  ["72", LONG.slice(0, 72), false],
  ["80", LONG, false],
  ["72, of 71 characters", `${"x".repeat(70)}\u00e4`, false],
  ["72, though NFC has 71", `${"x".repeat(69)}a\u0308`, false],
])(
  "what was typed for a bcrypt hash takes its place, if it has less than the 72 bytes that bcrypt looks at: %s",
  async (_bytes, typed, isOutdated) => {
    const hash = await bcryptHash(typed, 4);
    expect(await createPasswordHasher(CHEAP).verify(typed, hash)).toEqual({ isRight: true, isOutdated });
  },
);

test("the first 72 bytes of a longer password are right for its bcrypt hash, and do not take its place", async () => {
  const verified = await createPasswordHasher(CHEAP).verify(LONG.slice(0, 72), await bcryptHash(LONG, 4));
  expect(verified).toEqual({ isRight: true, isOutdated: false });
});

test("pretending takes as long as checking", async () => {
  const hasher = createPasswordHasher({ memoryKib: 32_768, passes: 3, lanes: 1 });
  const hash = await hasher.hash("p");
  const fastest = async (work: () => Promise<unknown>) => {
    const times: number[] = [];
    for (let round = 0; round < 5; round++) {
      const start = performance.now();
      await work();
      times.push(performance.now() - start);
    }
    return Math.min(...times);
  };
  const ratio = (await fastest(() => hasher.pretend("p"))) / (await fastest(() => hasher.verify("p", hash)));
  expect(ratio).toBeGreaterThan(0.5);
  expect(ratio).toBeLessThan(2);
});

test.each<[what: string, hash: string, isCostly: boolean]>([
  ["of its own cost", "$argon2id$v=19$m=19456,t=2,p=1$", false],
  ["of twice its cost", "$argon2id$v=19$m=19456,t=4,p=1$", false],
  ["of the most memory and passes", "$argon2id$v=19$m=262144,t=20,p=1$", true],
  ["bcrypt, cost 10", "$2b$10$", false],
  ["bcrypt, cost 15", "$2b$15$", true],
])("a hash %s: costly: %s", (_what, start, isCostly) => {
  const rest = start.startsWith("$2b") ? BCRYPT.slice(7) : `${SALT}$${TAG}`;
  expect(createPasswordHasher({ memoryKib: 19_456, passes: 2, lanes: 1 }).isCostly(start + rest)).toBe(isCostly);
});

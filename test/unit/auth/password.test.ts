// Proves that passwords are hashed and checked, always at the same cost.
import { hash as argon2Hash } from "@node-rs/argon2";
import { hash as bcryptHash } from "@node-rs/bcrypt";
import { createPasswordHasher, isSupportedHash } from "../../../src/auth/password.ts";

const CHEAP = { memoryKib: 64, passes: 1, lanes: 1 };
const CHEAP_PREFIX = "$argon2id$v=19$m=64,t=1,p=1$";

/** Hashes made by other programs. */
const SALT = "dWYd4GqmI1vwotaxN5KOIw";
const TAG = "J8gOLdCQ35xjwab5iIqkVDwEPo6cmIgA8sYFK7DjxlI";
const ARGON2I = `$argon2i$v=19$m=64,t=1,p=1$${SALT}$${TAG}`;
const ARGON2ID_2_LANES =
  "$argon2id$v=19$m=64,t=2,p=2$igHivy/cjM6PIDzauE+j0Q$fmvE1skNpwPIrLgjFRGT+u8vhTvFcOHP81xVjNgUQdI";
const LONG = `${"x".repeat(72)}and more`;
const BCRYPT = "$2y$04$iJUStS07YUKyAM1FuG4XIeG1AzohZR0WHC5sp9UHt3QcZNuRpSumC";

test("a hash is argon2id in PHC form with the configured cost and a new salt each time", async () => {
  const hasher = createPasswordHasher(CHEAP);
  const [one, two] = [await hasher.hash("p"), await hasher.hash("p")];
  expect(one.startsWith(CHEAP_PREFIX)).toBe(true);
  expect(one).not.toBe(two);
  expect(isSupportedHash(one)).toBe(true);
});

test.each<[what: string, password: string]>([
  ["ASCII", "correct horse battery staple"],
  ["non-ASCII characters", "пароль 🔑"],
  ["1,000 characters", "x".repeat(1_000)],
  ["text with a zero byte", "a\0b"],
])("a password of %s matches its own hash, and no other password does", async (_what, password) => {
  const hasher = createPasswordHasher(CHEAP);
  const hash = await hasher.hash(password);
  expect(await hasher.verify(password, hash)).toEqual({ isRight: true, isOutdated: false });
  for (const other of [`${password} `, password.slice(0, -1), password.toUpperCase()]) {
    expect((await hasher.verify(other, hash)).isRight).toBe(other === password);
  }
});

/** Hashes made elsewhere, and whether they are supported. */
const HASHES: [what: string, hash: string, isSupported: boolean][] = [
  ["argon2i", ARGON2I, true],
  ["argon2id of two lanes", ARGON2ID_2_LANES, true],
  ["bcrypt 2y", BCRYPT, true],
  ["bcrypt 2a", BCRYPT.replace("$2y", "$2a"), true],
  ["bcrypt 2b", BCRYPT.replace("$2y", "$2b"), true],
  ["bcrypt 2x, the variant of a faulty implementation", BCRYPT.replace("$2y", "$2x"), false],
  ["bcrypt, cost 3", BCRYPT.replace("$04", "$03"), false],
  ["bcrypt, cost 16", BCRYPT.replace("$04", "$16"), false],
  ["bcrypt, too short", BCRYPT.slice(0, -1), false],
  ["bcrypt with a line break", `${BCRYPT}\n`, false],
  ["argon2d", ARGON2I.replace("argon2i", "argon2d"), false],
  ["argon2 of version 1.0", ARGON2I.replace("v=19", "v=16"), false],
  ["argon2 without a version", ARGON2I.replace("v=19$", ""), false],
  ["argon2 with 256 MiB", ARGON2I.replace("m=64", "m=262144"), true],
  ["argon2 with more than 256 MiB", ARGON2I.replace("m=64", "m=262145"), false],
  ["argon2 with 7 KiB, less than it allows", ARGON2I.replace("m=64", "m=7"), false],
  ["argon2 with 9 lanes in 64 KiB, more than it allows", ARGON2I.replace("p=1", "p=9"), false],
  ["argon2 with 21 passes", ARGON2I.replace("t=1", "t=21"), false],
  ["argon2 without passes", ARGON2I.replace("t=1", "t=0"), false],
  ["argon2 with 17 lanes", ARGON2I.replace("m=64", "m=6400").replace("p=1", "p=17"), false],
  ["argon2 without lanes", ARGON2I.replace("p=1", "p=0"), false],
  ["argon2 with a leading zero in a number", ARGON2I.replace("m=64", "m=064"), false],
  ["argon2 with a salt of 7 bytes", ARGON2I.replace(SALT, "AAAAAAAAAA"), false],
  ["argon2 with a salt that is not base64", ARGON2I.replace(SALT, SALT.slice(0, 13)), false],
  ["argon2 with a salt that has leftover bits", ARGON2I.replace(SALT, `${SALT.slice(0, -1)}B`), false],
  ["argon2 with a padded salt", ARGON2I.replace(SALT, `${SALT}==`), false],
  ["argon2 with a tag that is not base64", ARGON2I.replace(TAG, TAG.slice(0, 17)), false],
  ["argon2 with a tag in URL-safe base64", ARGON2I.replace(TAG, TAG.replace("J", "-")), false],
  ["argon2 with a line break", `${ARGON2I}\n`, false],
  ["scrypt", "$scrypt$ln=15,r=8,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo", false],
  ["SHA-512 crypt", "$6$saltsalt$hash", false],
  ["a plain password", "correct horse battery staple", false],
  ["an empty text", "", false],
];

test.each(HASHES)("a hash made elsewhere (%s, %s) is supported: %s", async (_what, hash, isSupported) => {
  expect(isSupportedHash(hash)).toBe(isSupported);
});

test.each(HASHES.filter(([what, , isSupported]) => isSupported && what !== "argon2 with 256 MiB"))(
  "a hash made elsewhere (%s) is checked and reported as outdated",
  async (_what, hash) => {
    const hasher = createPasswordHasher(CHEAP);
    expect(await hasher.verify("p", hash)).toEqual({ isRight: true, isOutdated: true });
    expect((await hasher.verify("q", hash)).isRight).toBe(false);
  },
);

test("a hash with another cost is reported as outdated", async () => {
  const hash = await createPasswordHasher({ ...CHEAP, passes: 2 }).hash("p");
  expect(await createPasswordHasher(CHEAP).verify("p", hash)).toEqual({ isRight: true, isOutdated: true });
});

describe("a password with several Unicode spellings", () => {
  const WAYS: [what: string, nfc: string, other: string][] = [
    ["accents", "p\u00e4ss\u00e9", "pa\u0308sse\u0301"],
    ["Hangul", "\uac00\uac01", "\u1100\u1161\u1100\u1161\u11a8"],
    ["a singleton decomposition", "\u00c5ngstr\u00f6m", "\u212bngstro\u0308m"],
  ];

  test.each(WAYS)("matches in every spelling, whichever was set: %s", async (_what, ...ways) => {
    const hasher = createPasswordHasher(CHEAP);
    for (const set of ways) {
      const hash = await hasher.hash(set);
      for (const typed of ways) expect(await hasher.verify(typed, hash)).toEqual({ isRight: true, isOutdated: false });
    }
  });

  test.each(WAYS)(
    "matches an old hash of the unnormalized spelling, which is reported as outdated: %s",
    async (_what, nfc, other) => {
      const hasher = createPasswordHasher(CHEAP);
      const old = await argon2Hash(other, { memoryCost: 64, timeCost: 1, parallelism: 1 });
      expect(await hasher.verify(other, old)).toEqual({ isRight: true, isOutdated: true });
      expect(await hasher.verify(nfc, old)).toMatchObject({ isRight: false });
      expect(await hasher.verify(nfc, await hasher.hash(other))).toEqual({ isRight: true, isOutdated: false });
    },
  );

  test("differs from a password that only looks alike", async () => {
    const hasher = createPasswordHasher(CHEAP);
    const hash = await hasher.hash("\ufb01ne");
    expect(await hasher.verify("fine", hash)).toMatchObject({ isRight: false });
  });

  test("costs the same whether it is right, wrong or only pretended", async () => {
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
  ["72 in 71 characters", `${"x".repeat(70)}\u00e4`, false],
  ["72, and 71 in NFC", `${"x".repeat(69)}a\u0308`, false],
])(
  "a password of %s bytes that matches a bcrypt hash replaces it only below bcrypt's limit of 72 bytes",
  async (_bytes, typed, isOutdated) => {
    const hash = await bcryptHash(typed, 4);
    expect(await createPasswordHasher(CHEAP).verify(typed, hash)).toEqual({ isRight: true, isOutdated });
  },
);

test("the first 72 bytes of a longer password match its bcrypt hash and do not replace it", async () => {
  const verified = await createPasswordHasher(CHEAP).verify(LONG.slice(0, 72), await bcryptHash(LONG, 4));
  expect(verified).toEqual({ isRight: true, isOutdated: false });
});

test("pretending to check takes as long as checking", async () => {
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
  ["with the configured cost", "$argon2id$v=19$m=19456,t=2,p=1$", false],
  ["with twice that cost", "$argon2id$v=19$m=19456,t=4,p=1$", false],
  ["with the most memory and passes", "$argon2id$v=19$m=262144,t=20,p=1$", true],
  ["by bcrypt with cost 10", "$2b$10$", false],
  ["by bcrypt with cost 15", "$2b$15$", true],
])("a hash %s (%s…) counts as costly: %s", (_what, start, isCostly) => {
  const rest = start.startsWith("$2b") ? BCRYPT.slice(7) : `${SALT}$${TAG}`;
  expect(createPasswordHasher({ memoryKib: 19_456, passes: 2, lanes: 1 }).isCostly(start + rest)).toBe(isCostly);
});

// Proves that an issuer's keys are fetched, cached and used as RFC 7517 and RFC 7519 require.
import { createSign, generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { jest } from "@jest/globals";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { CACHED_JWTS, createJwtVerifier, type VerifyJwt } from "../../../src/auth/jwt.ts";
import { temporaryFolder } from "../../support/servers/server-process.ts";

const MINUTE = 60;
const START = 1_764_000_000;
/** The size of the cache in these tests. */
const CACHED = 100;
const keys = { one: await generateKeyPair("EdDSA"), other: await generateKeyPair("EdDSA") };
const publicKeys: Record<string, JWK> = {};
for (const [kid, { publicKey }] of Object.entries(keys)) publicKeys[kid] = { ...(await exportJWK(publicKey)), kid };

/** The keys that the issuer publishes. Undefined while it is unavailable. */
let published: unknown[] | undefined;
/** An answer of the issuer that replaces the keys. */
let instead: ((response: ServerResponse) => void) | undefined;
/** The reported errors of fetches. */
let told: unknown[];
let fetches: number;
/** Whether each fetch succeeded. */
let outcomes: boolean[];
let issuer: Server;
/** Seconds since the Unix epoch. */
let now: number;
let verify: VerifyJwt;
const signatures = jest.spyOn(crypto.subtle, "verify");

beforeAll(async () => {
  issuer = createServer((_, response) => {
    fetches++;
    if (instead) instead(response);
    else if (published) response.end(JSON.stringify({ keys: published }));
    else response.writeHead(503).end();
  });
  await new Promise<void>((resolve) => issuer.listen(0, "127.0.0.1", resolve));
});
afterAll(() => new Promise((resolve) => issuer.close(resolve)));

beforeEach(async () => {
  jest.spyOn(Date, "now").mockImplementation(() => now * 1_000);
  now = START;
  published = [publicKeys.one as JWK];
  instead = undefined;
  told = [];
  fetches = 0;
  outcomes = [];
  verify = await verifierOf(`http://127.0.0.1:${(issuer.address() as AddressInfo).port}/`);
  signatures.mockClear();
});
afterEach(() => jest.mocked(Date.now).mockRestore());

function verifierOf(jwks: string): Promise<VerifyJwt> {
  const settings = { issuer: "i", audience: "a", rolesClaim: "roles", jwks };
  return createJwtVerifier(
    settings,
    () => now * 1_000_000,
    (error) => told.push(error),
    { maxCached: CACHED, onFetch: () => ({ ended: (isFetched) => void outcomes.push(isFetched) }) },
  );
}

function jwt(
  subject: unknown,
  more: { kid?: string; signer?: keyof typeof keys; exp?: number; header?: object; roles?: unknown } = {},
): Promise<string> {
  const { kid = "one", signer = "one", exp = START + 600 * MINUTE, header = { kid }, roles } = more;
  const claims = { iss: "i", aud: "a", sub: subject, exp, roles };
  return new SignJWT(claims as never).setProtectedHeader({ alg: "EdDSA", ...header }).sign(keys[signer].privateKey);
}

const LET_IN = { subject: "ann", grants: [], expires: (START + 600 * MINUTE) * 1_000_000 };
const refusal = (token: string) =>
  verify(token).then(
    () => "let in",
    ({ reason }) => reason,
  );

test("a JWT's signature is verified once for repeated calls", async () => {
  const token = await jwt("ann");
  for (let time = 0; time < 3; time++) expect(await verify(token)).toEqual(LET_IN);
  now += MINUTE - 1;
  expect(await verify(token)).toEqual(LET_IN);
  expect(signatures).toHaveBeenCalledTimes(1);
  expect(fetches).toBe(1);
});

test("a JWT's signature is verified once for concurrent calls", async () => {
  const token = await jwt("ann");
  await verify(await jwt("bob"));
  signatures.mockClear();
  const principals = await Promise.all(Array.from({ length: 20 }, () => verify(token)));
  expect(principals).toEqual(principals.map(() => LET_IN));
  expect(signatures).toHaveBeenCalledTimes(1);
});

test("an invalid JWT is refused each time, and never evicts a valid one from the cache", async () => {
  const [good, forged] = [await jwt("ann"), await jwt("ann", { signer: "other" })];
  await verify(good);
  for (let time = 0; time < 2; time++) expect(await refusal(forged)).toBe("TOKEN_INVALID");
  expect(await Promise.all([forged, forged].map(refusal))).toEqual(["TOKEN_INVALID", "TOKEN_INVALID"]);
  const [header, , signature] = forged.split(".");
  const claims = (n: number) => Buffer.from(JSON.stringify({ sub: `${n}` })).toString("base64url");
  for (let n = 0; n <= CACHED; n++) await refusal([header, claims(n), signature].join("."));
  signatures.mockClear();
  expect(await verify(good)).toEqual(LET_IN);
  expect(signatures).not.toHaveBeenCalled();
});

test("the last used JWTs are cached, 10,000 by default", async () => {
  expect(CACHED_JWTS).toBe(10_000);
  const tokens = await Promise.all(Array.from({ length: CACHED + 1 }, (_, n) => jwt(`caller-${n}`)));
  const [first, second] = tokens as [string, string];
  for (const token of tokens.slice(0, CACHED)) await verify(token);
  await verify(first);
  await verify(tokens.at(-1) as string);
  signatures.mockClear();
  expect((await verify(first)).subject).toBe("caller-0");
  expect(signatures).not.toHaveBeenCalled();
  expect((await verify(second)).subject).toBe("caller-1");
  expect(signatures).toHaveBeenCalledTimes(1);
});

test("a cached JWT is refused after it expires", async () => {
  const token = await jwt("ann", { exp: START + 20 });
  await verify(token);
  now += 24;
  expect(await verify(token)).toEqual({ ...LET_IN, expires: (START + 20) * 1_000_000 });
  now += 1;
  expect(await refusal(token)).toBe("TOKEN_EXPIRED");
});

describe("a key that its issuer removes", () => {
  test("makes its cached JWTs invalid within a minute", async () => {
    const token = await jwt("ann");
    await verify(token);
    published = [publicKeys.other as JWK];
    now += MINUTE;
    expect(await refusal(token)).toBe("TOKEN_INVALID");
    expect(await refusal(token)).toBe("TOKEN_INVALID");
  });

  test("leaves the JWTs of other keys valid", async () => {
    published = [publicKeys.one as JWK, publicKeys.other as JWK];
    const [token, others] = [await jwt("ann"), await jwt("bob", { kid: "other", signer: "other" })];
    for (const each of [token, others]) await verify(each);
    published = [publicKeys.other as JWK];
    now += MINUTE;
    expect(await refusal(token)).toBe("TOKEN_INVALID");
    expect((await verify(others)).subject).toBe("bob");
  });

  test("makes its JWTs invalid at once if an unknown key causes a fetch", async () => {
    const token = await jwt("ann");
    await verify(token);
    published = [publicKeys.other as JWK];
    now += MINUTE / 2;
    expect((await verify(await jwt("bob", { kid: "other", signer: "other" }))).subject).toBe("bob");
    expect(await refusal(token)).toBe("TOKEN_INVALID");
  });

  test("makes its JWTs invalid even if a new key has its name", async () => {
    const token = await jwt("ann");
    await verify(token);
    published = [{ ...publicKeys.other, kid: "one" }];
    now += MINUTE;
    expect(await refusal(token)).toBe("TOKEN_INVALID");
    expect((await verify(await jwt("ann", { signer: "other" }))).subject).toBe("ann");
  });
});

describe("an issuer's key set", () => {
  test("is fetched once a minute, and while it is unchanged no JWT is verified again", async () => {
    const token = await jwt("ann");
    for (let minute = 0; minute < 30; minute++) {
      await Promise.all([verify(token), verify(token), verify(token)]);
      now += MINUTE;
    }
    expect(fetches).toBe(30);
    expect(signatures).toHaveBeenCalledTimes(1);
  });

  test("is used for ten minutes while fetches fail, with an attempt each minute", async () => {
    const token = await jwt("ann");
    await verify(token);
    published = undefined;
    for (let minute = 1; minute < 10; minute++) {
      now += MINUTE;
      for (let time = 0; time < 3; time++) expect(await verify(token)).toEqual(LET_IN);
      expect(fetches).toBe(1 + minute);
    }
    now += MINUTE;
    expect(await refusal(token)).toBe("KEYS_UNAVAILABLE");
    expect(outcomes).toEqual([true, ...Array(fetches - 1).fill(false)]);
    published = [publicKeys.one as JWK];
    now += MINUTE;
    expect(await verify(token)).toEqual(LET_IN);
  });

  test("in a file is read once", async () => {
    const folder = temporaryFolder();
    try {
      writeFileSync(folder.file("keys.json"), JSON.stringify({ keys: published }));
      verify = await verifierOf(folder.file("keys.json"));
      const token = await jwt("ann");
      await verify(token);
      now += 500 * MINUTE;
      expect(await verify(token)).toEqual(LET_IN);
      expect(signatures).toHaveBeenCalledTimes(1);
      expect(fetches).toBe(0);
    } finally {
      folder.remove();
    }
  });
});

describe("fetching the key set", () => {
  test("pauses after a failure for 1 s, doubling up to a minute", async () => {
    published = undefined;
    const fetchedAt: number[] = [];
    for (let second = 0; second < 300; second++) {
      const before = fetches;
      const tokens = await Promise.all([jwt("ann"), jwt("bob", { kid: "unknown" }), jwt("cyd", { header: {} })]);
      expect(await Promise.all(tokens.map(refusal))).toEqual(tokens.map(() => "KEYS_UNAVAILABLE"));
      expect(await refusal(tokens[0] as string)).toBe("KEYS_UNAVAILABLE");
      if (fetches > before) fetchedAt.push(second);
      now += 1;
    }
    expect(fetches).toBe(fetchedAt.length);
    expect(fetchedAt).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
    expect(told).toHaveLength(5);
  });

  test("resets its pauses after a success", async () => {
    published = undefined;
    const token = await jwt("ann");
    for (const wait of [1, 2, 4]) {
      expect(await refusal(token)).toBe("KEYS_UNAVAILABLE");
      now += wait;
    }
    published = [publicKeys.one as JWK];
    expect(await verify(token)).toEqual(LET_IN);
    published = undefined;
    now += 30;
    expect(await refusal(await jwt("bob", { kid: "other" }))).toBe("KEYS_UNAVAILABLE");
    expect(await verify(token)).toEqual(LET_IN);
    published = [publicKeys.one as JWK, publicKeys.other as JWK];
    now += 30;
    expect((await verify(await jwt("bob", { kid: "other", signer: "other" }))).subject).toBe("bob");
  });

  const padded = (bytes: number) => {
    const text = JSON.stringify({ keys: published, padding: "" });
    return text.replace('""', `"${"x".repeat(bytes - text.length)}"`);
  };

  test.each<[what: string, answer: (response: ServerResponse) => unknown, isTaken: boolean]>([
    ["accepts an answer of 1 MiB", (response) => response.end(padded(2 ** 20)), true],
    ["refuses an answer of a byte more than 1 MiB", (response) => response.end(padded(2 ** 20 + 1)), false],
    ["refuses an endless answer", (response) => pour(response), false],
    ["refuses an answer with the status 404", (response) => response.writeHead(404).end(padded(1_000)), false],
    ["refuses a redirect", (response) => response.writeHead(302, { location: "/" }).end(), false],
    ["refuses an answer that is not JSON", (response) => response.end("keys"), false],
    ["refuses the answer null", (response) => response.end("null"), false],
    ["refuses an answer without keys", (response) => response.end("{}"), false],
    [
      "refuses an answer with 101 keys",
      (response) => response.end(JSON.stringify({ keys: Array(101).fill(publicKeys.one) })),
      false,
    ],
  ])("%s", async (_what, answer, isTaken) => {
    let sent = 0;
    instead = (response) => {
      answer(response);
      response.on("close", () => {
        sent = response.socket?.bytesWritten ?? 0;
      });
    };
    expect(await refusal(await jwt("ann"))).toBe(isTaken ? "let in" : "KEYS_UNAVAILABLE");
    expect(told).toHaveLength(isTaken ? 0 : 1);
    expect(sent).toBeLessThan(64 * 2 ** 20);
  });

  test("fails after 5 s without an answer", async () => {
    const started = performance.now();
    instead = (response) => response.write("{");
    expect(await refusal(await jwt("ann"))).toBe("KEYS_UNAVAILABLE");
    expect(performance.now() - started).toBeGreaterThan(4_900);
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});

/** Writes until the other side closes the connection. */
function pour(response: ServerResponse): void {
  const block = Buffer.alloc(2 ** 16, "x");
  const more = () => {
    while (!response.destroyed && response.write(block));
    if (!response.destroyed) response.once("drain", more);
  };
  more();
}

describe("the claims of a JWT", () => {
  test.each<[subject: unknown, outcome: string]>([
    ["ann", "let in"],
    ["", "TOKEN_INVALID"],
    ["x".repeat(255), "let in"],
    ["x".repeat(256), "TOKEN_INVALID"],
    ["änn", "TOKEN_INVALID"],
    ...[null, 5, true, false, ["ann"], { toString: "ann" }, { toString: null }].map((subject): [unknown, string] => [
      subject,
      "TOKEN_INVALID",
    ]),
  ])("need a string as subject: %j gives %s", async (subject, outcome) => {
    expect(await refusal(await jwt(subject))).toBe(outcome);
  });

  test.each<[roles: unknown, grants: object[]]>([
    [
      ["INSTANCE_OWNER", "ORG_OWNER@a"],
      [{ role: "INSTANCE_OWNER" }, { role: "ORG_OWNER", organization: "a" }],
    ],
    ["INSTANCE_OWNER", []],
    [{ 0: "INSTANCE_OWNER", length: 1 }, []],
    [
      [["INSTANCE_OWNER"], null, 5, true, {}, { toString: null }, "ORG_VIEWER@a"],
      [{ role: "ORG_VIEWER", organization: "a" }],
    ],
  ])("give grants for strings as roles only: %j", async (roles, grants) => {
    expect(await verify(await jwt("ann", { roles }))).toEqual({ ...LET_IN, grants });
  });

  test.each<[typ: unknown, outcome: string]>([
    [undefined, "let in"],
    ...["JWT", "jwt", "at+jwt", "AT+JWT", "application/jwt", "application/at+jwt", "Application/At+JWT"].map(
      (typ): [unknown, string] => [typ, "let in"],
    ),
    ...[
      "logout+jwt",
      "application/logout+jwt",
      "dpop+jwt",
      "secevent+jwt",
      "JOSE",
      "",
      "JWT ",
      "text/jwt",
      5,
      null,
      ["JWT"],
    ].map((typ): [unknown, string] => [typ, "TOKEN_INVALID"]),
  ])("need the type of a JWT or an access token, or none: %j gives %s", async (typ, outcome) => {
    const header = { kid: "one", ...(typ !== undefined && { typ }) };
    expect(await refusal(await signed(header))).toBe(outcome);
  });
});

/** A JWT with any header, which the library would refuse to make. */
async function signed(header: object): Promise<string> {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { iss: "i", aud: "a", sub: "ann", exp: START + MINUTE };
  const content = `${encode({ alg: "EdDSA", ...header })}.${encode(claims)}`;
  const signature = await crypto.subtle.sign("Ed25519", keys.one.privateKey, Buffer.from(content));
  return `${content}.${Buffer.from(signature).toString("base64url")}`;
}

describe("a JWT without a key id", () => {
  test.each<[what: string, published: () => unknown[], outcome: string]>([
    ["the only key", () => [publicKeys.one], "let in"],
    ["the last key", () => [publicKeys.other, publicKeys.other, publicKeys.one], "let in"],
    ["no key", () => [publicKeys.other], "TOKEN_INVALID"],
    ["no key of several", () => [publicKeys.other, { ...publicKeys.other, kid: "third" }], "TOKEN_INVALID"],
    ["a key for encryption", () => [{ ...publicKeys.one, use: "enc" }, publicKeys.other], "TOKEN_INVALID"],
  ])("is checked against all keys, when it is signed by %s", async (_what, all, outcome) => {
    published = all();
    expect(await refusal(await jwt("ann", { header: {} }))).toBe(outcome);
  });

  test("gets TOKEN_EXPIRED after it expires, whichever key signed it", async () => {
    published = [publicKeys.other, publicKeys.one];
    expect(await refusal(await jwt("ann", { header: {}, exp: START - MINUTE }))).toBe("TOKEN_EXPIRED");
  });
});

describe("unusable keys of an issuer", () => {
  const BROKEN: [what: string, key: unknown][] = [
    ["too short a point", { kty: "OKP", crv: "Ed25519", x: "AAAA" }],
    ["no point", { kty: "OKP", crv: "Ed25519" }],
    ["an unknown kind", { kty: "XYZ" }],
    ["no kind", {}],
    ["invalid key operations", { ...publicKeys.one, key_ops: "verify" }],
    ["null", null],
    ["a text", "key"],
    ["an array", [1]],
    ["a private key", { kty: "OKP", crv: "Ed25519", x: publicKeys.one?.x, d: publicKeys.one?.x }],
  ];
  test.each(BROKEN)("do not affect the JWTs of other keys: %s", async (_what, key) => {
    published = [key, publicKeys.one, key];
    expect(await refusal(await jwt("ann"))).toBe("let in");
    expect(await refusal(await jwt("ann", { header: {} }))).toBe("let in");
    published = [key && typeof key === "object" ? { ...key, kid: "broken" } : key];
    now += MINUTE;
    expect(await refusal(await jwt("ann", { kid: "broken" }))).toBe("TOKEN_INVALID");
    expect(told).toEqual([]);
  });

  test("affect their own JWTs only if they are too weak", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 1_024 });
    const { publicKey: strongPublic, privateKey: strong } = await generateKeyPair("RS256");
    published = [publicKey.export({ format: "jwk" }), await exportJWK(strongPublic)];
    const claims = { iss: "i", aud: "a", sub: "ann", exp: START + MINUTE };
    const good = await new SignJWT(claims).setProtectedHeader({ alg: "RS256" }).sign(strong);
    expect(await refusal(good)).toBe("let in");
    const content = good.split(".").slice(0, 2).join(".");
    const weak = `${content}.${createSign("sha256").update(content).sign(privateKey, "base64url")}`;
    expect(await refusal(weak)).toBe("TOKEN_INVALID");
  });
});

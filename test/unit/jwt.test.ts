import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { jest } from "@jest/globals";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { createJwtVerifier, type VerifyJwt } from "../../src/auth/jwt.ts";
import { temporaryFolder } from "../support/server-process.ts";

const MINUTE = 60;
const START = 1_764_000_000;
const keys = { one: await generateKeyPair("EdDSA"), other: await generateKeyPair("EdDSA") };
const publicKeys: Record<string, JWK> = {};
for (const [kid, { publicKey }] of Object.entries(keys)) publicKeys[kid] = { ...(await exportJWK(publicKey)), kid };

/** What the issuer publishes; undefined while it cannot be reached. */
let published: JWK[] | undefined;
let fetches: number;
let issuer: Server;
/** Seconds since the Unix epoch. */
let now: number;
let verify: VerifyJwt;
const signatures = jest.spyOn(crypto.subtle, "verify");

beforeAll(async () => {
  issuer = createServer((_, response) => {
    fetches++;
    if (published) response.end(JSON.stringify({ keys: published }));
    else response.writeHead(503).end();
  });
  await new Promise<void>((resolve) => issuer.listen(0, "127.0.0.1", resolve));
});
afterAll(() => new Promise((resolve) => issuer.close(resolve)));

beforeEach(async () => {
  jest.spyOn(Date, "now").mockImplementation(() => now * 1_000);
  now = START;
  published = [publicKeys.one as JWK];
  fetches = 0;
  verify = await verifierOf(`http://127.0.0.1:${(issuer.address() as AddressInfo).port}/`);
  signatures.mockClear();
});
afterEach(() => jest.mocked(Date.now).mockRestore());

function verifierOf(jwks: string): Promise<VerifyJwt> {
  return createJwtVerifier({ issuer: "i", audience: "a", rolesClaim: "roles", jwks }, () => now * 1_000_000);
}

function jwt(subject: string, more: { kid?: string; signer?: keyof typeof keys; exp?: number } = {}): Promise<string> {
  const { kid = "one", signer = "one", exp = START + 600 * MINUTE } = more;
  const claims = { iss: "i", aud: "a", sub: subject, exp };
  return new SignJWT(claims).setProtectedHeader({ alg: "EdDSA", kid }).sign(keys[signer].privateKey);
}

const LET_IN = { subject: "ann", grants: [] };
const refusal = (token: string) =>
  verify(token).then(
    () => "let in",
    ({ reason }) => reason,
  );

test("a token is verified once, however often it comes", async () => {
  const token = await jwt("ann");
  for (let time = 0; time < 3; time++) expect(await verify(token)).toEqual(LET_IN);
  now += MINUTE - 1;
  expect(await verify(token)).toEqual(LET_IN);
  expect(signatures).toHaveBeenCalledTimes(1);
  expect(fetches).toBe(1);
});

test("also one that comes many times at once", async () => {
  const token = await jwt("ann");
  await verify(await jwt("bob"));
  signatures.mockClear();
  const principals = await Promise.all(Array.from({ length: 20 }, () => verify(token)));
  expect(principals).toEqual(principals.map(() => LET_IN));
  expect(signatures).toHaveBeenCalledTimes(1);
});

test("a bad token is refused each time, and never takes a good one's place", async () => {
  const [good, forged] = [await jwt("ann"), await jwt("ann", { signer: "other" })];
  await verify(good);
  for (let time = 0; time < 2; time++) expect(await refusal(forged)).toBe("TOKEN_INVALID");
  expect(await Promise.all([forged, forged].map(refusal))).toEqual(["TOKEN_INVALID", "TOKEN_INVALID"]);
  const [header, , signature] = forged.split(".");
  const claims = (n: number) => Buffer.from(JSON.stringify({ sub: `${n}` })).toString("base64url");
  for (let n = 0; n < 10_001; n++) await refusal([header, claims(n), signature].join("."));
  signatures.mockClear();
  expect(await verify(good)).toEqual(LET_IN);
  expect(signatures).not.toHaveBeenCalled();
}, 60_000);

test("10,000 are remembered: those that were used last", async () => {
  const tokens = await Promise.all(Array.from({ length: 10_001 }, (_, n) => jwt(`caller-${n}`)));
  const [first, second] = tokens as [string, string];
  for (const token of tokens.slice(0, 10_000)) await verify(token);
  await verify(first);
  await verify(tokens.at(-1) as string);
  signatures.mockClear();
  expect((await verify(first)).subject).toBe("caller-0");
  expect(signatures).not.toHaveBeenCalled();
  expect((await verify(second)).subject).toBe("caller-1");
  expect(signatures).toHaveBeenCalledTimes(1);
}, 60_000);

test("a token is remembered until it ends", async () => {
  const token = await jwt("ann", { exp: START + 20 });
  await verify(token);
  now += 24;
  expect(await verify(token)).toEqual(LET_IN);
  now += 1;
  expect(await refusal(token)).toBe("TOKEN_EXPIRED");
});

describe("a key that its issuer withdraws", () => {
  test("is looked for again after a minute: the tokens that it signed are refused, though they were remembered", async () => {
    const token = await jwt("ann");
    await verify(token);
    published = [publicKeys.other as JWK];
    now += MINUTE;
    expect(await refusal(token)).toBe("TOKEN_INVALID");
    expect(await refusal(token)).toBe("TOKEN_INVALID");
  });

  test("takes no other key's tokens with it", async () => {
    published = [publicKeys.one as JWK, publicKeys.other as JWK];
    const [token, others] = [await jwt("ann"), await jwt("bob", { kid: "other", signer: "other" })];
    for (const each of [token, others]) await verify(each);
    published = [publicKeys.other as JWK];
    now += MINUTE;
    expect(await refusal(token)).toBe("TOKEN_INVALID");
    expect((await verify(others)).subject).toBe("bob");
  });

  test("is missed at once where the set was fetched for an unknown key", async () => {
    const token = await jwt("ann");
    await verify(token);
    published = [publicKeys.other as JWK];
    now += MINUTE / 2;
    expect((await verify(await jwt("bob", { kid: "other", signer: "other" }))).subject).toBe("bob");
    expect(await refusal(token)).toBe("TOKEN_INVALID");
  });

  test("gives its name to another one: what the old one signed is refused", async () => {
    const token = await jwt("ann");
    await verify(token);
    published = [{ ...publicKeys.other, kid: "one" }];
    now += MINUTE;
    expect(await refusal(token)).toBe("TOKEN_INVALID");
    expect((await verify(await jwt("ann", { signer: "other" }))).subject).toBe("ann");
  });
});

describe("the key set", () => {
  test("is fetched once a minute, and while it stays the same no token is verified again", async () => {
    const token = await jwt("ann");
    for (let minute = 0; minute < 30; minute++) {
      await Promise.all([verify(token), verify(token), verify(token)]);
      now += MINUTE;
    }
    expect(fetches).toBe(30);
    expect(signatures).toHaveBeenCalledTimes(1);
  });

  test("that cannot be fetched is good for ten minutes, and asked for once a minute", async () => {
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
    published = [publicKeys.one as JWK];
    expect(await verify(token)).toEqual(LET_IN);
  });

  test("of a file stays as it was read", async () => {
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

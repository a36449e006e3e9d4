// Proves that the guard accepts the JWTs that the server accepts, and no other.
import { generateKeyPair, SignJWT, UnsecuredJWT } from "jose";
import { createJwtVerifier, type JwtVerifier } from "../../../packages/client/src/guard/jwt.ts";
import { createServerClock } from "../../../packages/client/src/guard/server-clock.ts";
import { type Issuer, startIssuer } from "../../support/client/issuer.ts";

let issuer: Issuer;
let verifier: JwtVerifier;
const stop = new AbortController();

beforeAll(async () => {
  issuer = await startIssuer();
  verifier = createJwtVerifier(issuer.jwt, { clock: createServerClock(), signal: stop.signal });
});
afterAll(async () => {
  stop.abort();
  await issuer.stop();
});

test("a JWT of the issuer has its subject, claims and end", async () => {
  const verified = await verifier.verify(await issuer.sign("ann", { claims: { sid: "s1" }, lifeS: 60 }));
  expect(verified).toMatchObject({ subject: "ann", claims: { sid: "s1" } });
  const { expires } = verified as { expires: number };
  expect(Math.abs(expires - Date.now() - 65_000)).toBeLessThan(5_000);
});

test.each([
  ["of another issuer", { claims: { iss: "https://other.example.com" } }],
  ["for another audience", { claims: { aud: "other" } }],
  ["without an end", { claims: { exp: undefined } }],
  ["of no subject", { claims: { sub: undefined } }],
  ["whose subject is not text", { claims: { sub: ["ann"] } }],
  ["of a subject with a line break", { claims: { sub: "ann\n" } }],
  ["of userlock itself", { claims: { sub: " Userlock" } }],
  ["of an operator", { claims: { sub: "admin@host" } }],
  ["of a later time", { claims: { nbf: 4_000_000_000 } }],
  ["that is a logout token", { header: { typ: "logout+jwt" } }],
])("a JWT %s is invalid", async (_, options) => {
  expect(await verifier.verify(await issuer.sign("ann", options))).toBe("TOKEN_INVALID");
});

test("a JWT is expired five seconds after its end, and good before", async () => {
  expect(await verifier.verify(await issuer.sign("ann", { lifeS: -2 }))).toMatchObject({ subject: "ann" });
  expect(await verifier.verify(await issuer.sign("ann", { lifeS: -7 }))).toBe("TOKEN_EXPIRED");
});

test("a JWT that is signed by another key, with a shared secret or not at all is invalid", async () => {
  const claims = { iss: issuer.jwt.issuer, aud: issuer.jwt.audience, sub: "ann", exp: 4_000_000_000 };
  const { privateKey } = await generateKeyPair("EdDSA");
  const others = [
    await new SignJWT(claims).setProtectedHeader({ alg: "EdDSA" }).sign(privateKey),
    await new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(Buffer.alloc(32)),
    new UnsecuredJWT(claims).encode(),
  ];
  expect(await Promise.all(others.map((token) => verifier.verify(token)))).toEqual(Array(3).fill("TOKEN_INVALID"));
});

test("keys are fetched once for many tokens, and a fixed set is never fetched", async () => {
  const fetches = issuer.fetches();
  const tokens = await Promise.all(Array.from({ length: 20 }, (_, number) => issuer.sign(`user-${number}`)));
  await Promise.all(tokens.map((token) => verifier.verify(token)));
  expect(issuer.fetches()).toBe(fetches);
  const jwks = await (await fetch(issuer.jwt.jwks)).json();
  const fixed = createJwtVerifier({ ...issuer.jwt, jwks }, { clock: createServerClock(), signal: stop.signal });
  expect(await fixed.verify(tokens[0] as string)).toMatchObject({ subject: "user-0" });
  expect(issuer.fetches()).toBe(fetches + 1);
});

test("an issuer that is away is no refusal but an error, and its keys are fetched again later", async () => {
  issuer.setAway(true);
  const fresh = createJwtVerifier(issuer.jwt, { clock: createServerClock(), signal: stop.signal });
  const token = await issuer.sign("ann");
  await expect(fresh.verify(token)).rejects.toThrow(/keys of the issuer/);
  const fetches = issuer.fetches();
  await expect(fresh.verify(token)).rejects.toThrow(/keys of the issuer/);
  expect(issuer.fetches()).toBe(fetches);
  issuer.setAway(false);
});

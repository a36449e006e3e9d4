// Proves that a server accepts valid JWTs of an issuer as tokens.
import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Answer, type Door, openDoors } from "../../support/clients/doors.ts";
import { type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

const { createUser, getUser, lockUser, unlockUser } = UserService.method;
const ISSUER = "https://issuer.example.com";
const AUDIENCE = "userlock";

type Keys = Awaited<ReturnType<typeof generateKeyPair>>;
const keys: Record<string, Keys> = {};
let published: JWK[] = [];
let jwksServer: Server;
let jwksUrl: string;
let fetches = 0;
let server: ServerProcess;
let door: Door;

beforeAll(async () => {
  for (const alg of ["RS256", "PS256", "ES256", "EdDSA", "ES384"]) keys[alg] = await generateKeyPair(alg);
  keys.stranger = await generateKeyPair("ES256");
  published = await Promise.all(
    ["RS256", "PS256", "ES256", "EdDSA", "ES384"].map(async (alg) => ({
      ...(await exportJWK(keys[alg]!.publicKey)),
      kid: alg,
      alg,
    })),
  );
  jwksServer = createServer((_request, response) => {
    fetches++;
    response.setHeader("content-type", "application/json").end(JSON.stringify({ keys: published }));
  });
  await new Promise<void>((resolve) => jwksServer.listen(0, "127.0.0.1", resolve));
  jwksUrl = `http://127.0.0.1:${(jwksServer.address() as AddressInfo).port}/jwks`;
  server = await startServer(settings(jwksUrl));
  door = openDoors(server.url).find(({ name }) => name === "REST") as Door;
});

afterAll(async () => {
  await server?.stop();
  await new Promise((resolve) => jwksServer.close(resolve));
});

function settings(jwks: string): Record<string, string> {
  return {
    USERLOCK_JWT_ISSUER: ISSUER,
    USERLOCK_JWT_AUDIENCE: AUDIENCE,
    USERLOCK_JWKS: jwks,
    USERLOCK_JWT_ROLES_CLAIM: "userlock_roles",
  };
}

const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;

/** A JWT of the issuer, with the given differences. */
function jwt(
  claims: Record<string, unknown> = {},
  alg = "ES256",
  signer = keys[alg] as Keys,
  kid = alg,
  typ?: string,
): Promise<string> {
  const all = {
    iss: ISSUER,
    aud: AUDIENCE,
    sub: "carol",
    exp: inSeconds(300),
    userlock_roles: ["INSTANCE_OWNER"],
    ...claims,
  };
  return new SignJWT(all).setProtectedHeader({ alg, kid, ...(typ !== undefined && { typ }) }).sign(signer.privateKey);
}

const get = (token: string) => door.call(getUser, { id: "nobody" }, { token });
const outcome = ({ code, reason }: Answer) => [code, reason];
const LET_IN = ["NOT_FOUND", "USER_NOT_FOUND"];
const INVALID = ["UNAUTHENTICATED", "TOKEN_INVALID"];
const DENIED = ["PERMISSION_DENIED", "PERMISSION_MISSING"];

test.each(["RS256", "PS256", "ES256", "EdDSA"])("a JWT signed by %s is accepted", async (alg) => {
  expect(outcome(await get(await jwt({}, alg)))).toEqual(LET_IN);
});

test("the lock's author is the subject of the JWT, and cannot lock their own user", async () => {
  const token = await jwt();
  for (const userId of ["dave", "carol"]) await door.call(createUser, { user: { userId } }, { token });
  expect((await door.call(lockUser, { id: "dave" }, { token })).code).toBe("OK");
  expect((await door.call(getUser, { id: "dave" }, { token })).response?.user?.lock?.lockedBy).toBe("carol");
  expect(outcome(await door.call(lockUser, { id: "carol" }, { token }))).toEqual(["FAILED_PRECONDITION", "SELF_LOCK"]);
});

test("a JWT of a locked user is refused until the user is unlocked", async () => {
  const [operator, own] = [await jwt(), await jwt({ sub: "erin" })];
  await door.call(createUser, { user: { userId: "erin" } }, { token: operator });
  expect(outcome(await get(own))).toEqual(LET_IN);
  expect((await door.call(lockUser, { id: "erin" }, { token: operator })).code).toBe("OK");
  expect(outcome(await get(own))).toEqual(INVALID);
  expect((await door.call(unlockUser, { id: "erin" }, { token: operator })).code).toBe("OK");
  expect(outcome(await get(own))).toEqual(LET_IN);
});

test.each<[what: string, token: () => Promise<string>, expected: (string | undefined)[]]>([
  ["that has expired", () => jwt({ exp: inSeconds(-60) }), ["UNAUTHENTICATED", "TOKEN_EXPIRED"]],
  ["without an expiry", () => jwt({ exp: undefined }), INVALID],
  ["whose subject is not a string", () => jwt({ sub: { toString: "carol" } }), INVALID],
  ["that is a logout token", () => jwt({}, "ES256", keys.ES256, "ES256", "logout+jwt"), INVALID],
  ["that is an access token", () => jwt({}, "ES256", keys.ES256, "ES256", "at+jwt"), LET_IN],
  ["without a subject", () => jwt({ sub: undefined }), INVALID],
  ["with userlock's own subject", () => jwt({ sub: "userlock" }), INVALID],
  ["with the subject of an offline operator", () => jwt({ sub: "admin@host" }), INVALID],
  ["that is not yet valid", () => jwt({ nbf: inSeconds(60) }), INVALID],
  ["of another issuer", () => jwt({ iss: "https://other.example.com" }), INVALID],
  ["for another audience", () => jwt({ aud: "other" }), INVALID],
  ["signed by an unknown key with a known key id", () => jwt({}, "ES256", keys.stranger), INVALID],
  ["of an algorithm that is not allowed", () => jwt({}, "ES384"), INVALID],
  ["of an unknown key id", () => jwt({}, "ES256", keys.ES256, "unknown"), INVALID],
  ["without a signature", async () => unsigned(), INVALID],
  ["signed with the public key as a shared secret", () => confused(), INVALID],
  ["with a changed payload", async () => tampered(await jwt({ userlock_roles: [] })), INVALID],
  ["without roles", () => jwt({ userlock_roles: undefined }), DENIED],
  ["with roles in another form", () => jwt({ userlock_roles: "INSTANCE_OWNER" }), DENIED],
  ["with unknown roles", () => jwt({ userlock_roles: ["ADMIN", "toString"] }), DENIED],
  ["with an organization's role on the instance", () => jwt({ userlock_roles: ["ORG_OWNER"] }), DENIED],
  ["with an instance's role on an organization", () => jwt({ userlock_roles: ["INSTANCE_OWNER@a"] }), DENIED],
  ["with a role on an organization", () => jwt({ userlock_roles: ["ORG_VIEWER@a", "ADMIN"] }), LET_IN],
])("a JWT %s gets the expected answer", async (_what, token, expected) => {
  expect(outcome(await get(await token()))).toEqual(expected);
});

function unsigned(): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { iss: ISSUER, aud: AUDIENCE, sub: "eve", exp: inSeconds(300), userlock_roles: ["INSTANCE_OWNER"] };
  return `${encode({ alg: "none" })}.${encode(claims)}.AA`;
}

function confused(): Promise<string> {
  const secret = Buffer.from(JSON.stringify(published[0]));
  return new SignJWT({ userlock_roles: ["INSTANCE_OWNER"] })
    .setProtectedHeader({ alg: "HS256", kid: "RS256" })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setSubject("eve")
    .setExpirationTime("5m")
    .sign(secret);
}

function tampered(token: string): string {
  const [header, payload, signature] = token.split(".");
  const claims = JSON.parse(Buffer.from(payload as string, "base64url").toString());
  const forged = Buffer.from(JSON.stringify({ ...claims, userlock_roles: ["INSTANCE_OWNER"] })).toString("base64url");
  return [header, forged, signature].join(".");
}

test("an accepted JWT is refused after it expires", async () => {
  const token = await jwt({ exp: inSeconds(-3) });
  expect(outcome(await get(token))).toEqual(LET_IN);
  await new Promise((resolve) => setTimeout(resolve, 3_500));
  expect(outcome(await get(token))).toEqual(["UNAUTHENTICATED", "TOKEN_EXPIRED"]);
});

test("the key set is fetched by one request for many callers, and not again at once for an unknown key", async () => {
  const fresh = await startServer(settings(jwksUrl));
  try {
    const freshDoor = openDoors(fresh.url).find(({ name }) => name === "REST") as Door;
    const before = fetches;
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, n) => jwt({ sub: `caller-${n}` })));
    const answers = await Promise.all(tokens.map((token) => freshDoor.call(getUser, { id: "nobody" }, { token })));
    expect(answers.map(outcome)).toEqual(tokens.map(() => LET_IN));
    const unknown = await Promise.all(Array.from({ length: 20 }, () => jwt({}, "ES256", keys.ES256, "unknown")));
    for (const token of unknown) await freshDoor.call(getUser, { id: "nobody" }, { token });
    expect(fetches - before).toBe(1);
  } finally {
    await fresh.stop();
  }
});

test("an unavailable key set gives UNAVAILABLE and one log line, and userlock's own tokens still work", async () => {
  const cut = await startServer(settings("http://127.0.0.1:1/jwks"));
  try {
    const cutDoor = openDoors(cut.url).find(({ name }) => name === "REST") as Door;
    const answer = await cutDoor.call(getUser, { id: "nobody" }, { token: await jwt() });
    expect(outcome(answer)).toEqual(["UNAVAILABLE", "KEYS_UNAVAILABLE"]);
    const token = await jwt();
    await Promise.all(Array.from({ length: 50 }, () => cutDoor.call(getUser, { id: "nobody" }, { token })));
    expect(cut.stderr().match(/"level":"error"/g)).toHaveLength(1);
    const own = await cutDoor.call(getUser, { id: "nobody" }, { token: "test-token-of-the-instance-owner" });
    expect(outcome(own)).toEqual(LET_IN);
  } finally {
    await cut.stop();
  }
});

test("a key set can be a file", async () => {
  const folder = temporaryFolder();
  writeFileSync(folder.file("jwks.json"), JSON.stringify({ keys: published }));
  const withFile = await startServer(settings(folder.file("jwks.json")));
  try {
    const fileDoor = openDoors(withFile.url).find(({ name }) => name === "REST") as Door;
    expect(outcome(await fileDoor.call(getUser, { id: "nobody" }, { token: await jwt() }))).toEqual(LET_IN);
  } finally {
    await withFile.stop();
    folder.remove();
  }
});

// Proves that WhoAmI shows callers their subject and permissions, for each kind of token over each protocol.
import { writeFileSync } from "node:fs";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import {
  AccessService,
  Credential,
  Role,
  type WhoAmIResponse,
} from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { PERMISSIONS } from "../../../src/domain/access.ts";
import { VERSION } from "../../../src/version.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

const { whoAmI, createToken, revokeToken } = AccessService.method;
const NAMES = [
  "REST",
  "Connect JSON, UserService",
  "Connect proto, UserService",
  "gRPC-Web, UserService",
  "gRPC-Web text, UserService",
  "gRPC, UserService",
];
const asOwner = { token: ADMIN_TOKEN };
const EXPIRES = timestampFromMs((Math.floor(Date.now() / 1000) + 3600) * 1000);

const folder = temporaryFolder();
let server: ServerProcess;
let doors: Door[] = [];
let signJwt: (roles: string[], exp: number) => Promise<string>;

beforeAll(async () => {
  const keys = await generateKeyPair("ES256");
  const jwks = folder.file("jwks.json");
  writeFileSync(jwks, JSON.stringify({ keys: [{ ...(await exportJWK(keys.publicKey)), kid: "k", alg: "ES256" }] }));
  signJwt = (roles, exp) =>
    new SignJWT({ iss: "https://issuer.example.com", aud: "userlock", sub: "carol", exp, roles })
      .setProtectedHeader({ alg: "ES256", kid: "k" })
      .sign(keys.privateKey);
  server = await startServer({
    USERLOCK_JWT_ISSUER: "https://issuer.example.com",
    USERLOCK_JWT_AUDIENCE: "userlock",
    USERLOCK_JWKS: jwks,
  });
  doors = openDoors(server.url);
});

afterAll(async () => {
  for (const door of doors) door.close();
  await server?.stop();
  folder.remove();
});

describe.each(NAMES)("WhoAmI over %s", (name) => {
  const door = () => doors.find((one) => one.name === name) as Door;
  const answerTo = async (token: string): Promise<WhoAmIResponse> => {
    const { code, response } = await door().call(whoAmI, {}, { token });
    expect(code).toBe("OK");
    return response as WhoAmIResponse;
  };

  test("shows the instance owner all permissions on the instance, without an end", async () => {
    const answer = await answerTo(ADMIN_TOKEN);
    expect(answer).toMatchObject({
      subject: "admin",
      credential: Credential.ACCESS_TOKEN,
      tokenId: "admin",
      grants: [{ role: Role.INSTANCE_OWNER }],
      permissions: PERMISSIONS.map((permission) => ({ permission, instance: true, organizationIds: [] })),
    });
    expect(answer.sessionId).toBeUndefined();
    expect(answer.expires).toBeUndefined();
    expect(answer.server).toMatchObject({ version: VERSION, instanceId: "default", store: "memory" });
  });

  test("shows where a token's permissions reach, each organization once, and when the token ends", async () => {
    const grants = [
      { role: Role.ORG_USER_MANAGER, organizationId: "a" },
      { role: Role.ORG_VIEWER, organizationId: "a" },
      { role: Role.ORG_VIEWER, organizationId: "b" },
      { role: Role.GATEWAY },
    ];
    const made = await door().call(createToken, { subject: "detector", grants, expires: EXPIRES }, asOwner);
    const { token, details } = made.response!;
    expect(await answerTo(token)).toMatchObject({
      subject: "detector",
      credential: Credential.ACCESS_TOKEN,
      tokenId: details?.id,
      grants,
      permissions: [
        { permission: "user.read", instance: false, organizationIds: ["a", "b"] },
        { permission: "user.write", instance: false, organizationIds: ["a"] },
        { permission: "event.read", instance: true, organizationIds: ["a"] },
        { permission: "session.read", instance: true, organizationIds: [] },
      ],
      expires: EXPIRES,
    });
    await door().call(revokeToken, { tokenId: details?.id as string }, asOwner);
    expect(await door().call(whoAmI, {}, { token })).toMatchObject({
      code: "UNAUTHENTICATED",
      reason: "TOKEN_INVALID",
    });
  });

  test("shows the grants of a JWT and its end, and no token id", async () => {
    const answer = await answerTo(await signJwt(["ORG_VIEWER@a", "UNKNOWN_ROLE"], Number(EXPIRES.seconds)));
    expect(answer).toMatchObject({
      subject: "carol",
      credential: Credential.JWT,
      grants: [{ role: Role.ORG_VIEWER, organizationId: "a" }],
      permissions: [{ permission: "user.read", instance: false, organizationIds: ["a"] }],
      expires: EXPIRES,
    });
    expect(answer.tokenId).toBeUndefined();
  });

  test("answers a JWT without roles, and one that ends after the year 9999", async () => {
    const answer = await answerTo(await signJwt([], 1e15));
    expect(answer).toMatchObject({ subject: "carol", grants: [], permissions: [] });
    expect(answer.expires?.seconds).toBe(253_402_300_799n);
  });

  test("shows a session its user, its id and its end, without grants", async () => {
    const userId = `user-${NAMES.indexOf(name)}`;
    const password = "correct horse battery";
    const authenticators = { password: { type: { case: "password" as const, value: password } } };
    await door().call(UserService.method.createUser, { user: { userId, authenticators } }, asOwner);
    const login = { user: { case: "userId" as const, value: userId }, password };
    const { response } = await door().call(SessionService.method.createSession, login, asOwner);
    const { sessionToken, sessionId, expires } = response!;
    const answer = await answerTo(sessionToken);
    expect(answer).toMatchObject({
      subject: userId,
      credential: Credential.SESSION,
      sessionId,
      grants: [],
      permissions: [],
      expires,
    });
    expect(answer.tokenId).toBeUndefined();
    expect(answer.server).toBeUndefined();
  });

  test("refuses a caller without a token", async () => {
    expect(await door().call(whoAmI, {})).toMatchObject({ code: "UNAUTHENTICATED", reason: "TOKEN_MISSING" });
  });
});

// Proves that tokens authenticate, expire, can be revoked, and give no more than their grants.
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import type { DescMethodUnary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AccessService, Role } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../../support/access.ts";
import { type Answer, type Door, openDoors } from "../../support/clients/doors.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

const { createToken, listTokens, revokeToken } = AccessService.method;
const { searchUsers } = UserService.method;

const folder = temporaryFolder();
let server: ServerProcess;
let doors: Door[] = [];
const NAMES = ["REST", "Connect proto, UserService", "gRPC-Web text, UserService", "gRPC, UserService"];

beforeAll(async () => {
  server = await startServer({ USERLOCK_STORE: `sqlite:${folder.file("access.db")}` });
  doors = openDoors(server.url);
});

afterAll(async () => {
  for (const door of doors) door.close();
  await server?.stop();
  folder.remove();
});

const asOwner = { token: ADMIN_TOKEN };
const refused = (answer: Answer, code: string, reason: string) =>
  expect({ code: answer.code, reason: answer.reason }).toEqual({ code, reason });

describe.each(NAMES)("AccessService over %s", (name) => {
  let door: Door;
  beforeAll(() => {
    door = doors.find((candidate) => candidate.name === name) as Door;
  });

  test("a token works from its creation to its revocation, and is listed without its secret", async () => {
    const subject = `subject-${name.length}`;
    const expires = timestampFromMs(Date.now() + 3_600_000);
    const grants = [{ role: Role.ORG_VIEWER, organizationId: "a" }, { role: Role.GATEWAY }];
    const made = await door.call(createToken, { subject, grants, expires }, asOwner);
    expect(made.code).toBe("OK");
    const { token, details } = made.response!;
    expect(token).toMatch(/^userlock_[\w-]{43}$/);
    expect((await door.call(searchUsers, {}, { token })).code).toBe("OK");

    const listed = (await door.call(listTokens, { subject }, asOwner)).response;
    expect(listed?.result).toHaveLength(1);
    expect(listed?.result[0]).toMatchObject({ details, subject, grants, expires });
    expect(JSON.stringify(listed, (_, value) => (typeof value === "bigint" ? String(value) : value))).not.toContain(
      token,
    );

    const tokenId = details?.id as string;
    expect((await door.call(revokeToken, { tokenId }, asOwner)).code).toBe("OK");
    refused(await door.call(searchUsers, {}, { token }), "UNAUTHENTICATED", "TOKEN_INVALID");
    refused(await door.call(revokeToken, { tokenId }, asOwner), "NOT_FOUND", "TOKEN_NOT_FOUND");
    expect((await door.call(listTokens, { subject }, asOwner)).response?.result).toEqual([]);
  });

  const INVALID: [what: string, request: Parameters<typeof door.call<typeof createToken>>[1]][] = [
    ["a missing subject", { grants: [{ role: Role.INSTANCE_OWNER }] }],
    ["userlock's own subject", { subject: "userlock", grants: [{ role: Role.GATEWAY }] }],
    ["the subject of an offline operator", { subject: "admin@host", grants: [{ role: Role.GATEWAY }] }],
    ["an empty list of grants", { subject: "s" }],
    ["a grant without a role", { subject: "s", grants: [{}] }],
    [
      "an instance's role on an organization",
      { subject: "s", grants: [{ role: Role.INSTANCE_OWNER, organizationId: "a" }] },
    ],
    ["an organization's role on the instance", { subject: "s", grants: [{ role: Role.ORG_OWNER }] }],
    ["51 grants", { subject: "s", grants: Array.from({ length: 51 }, () => ({ role: Role.GATEWAY })) }],
    [
      "an end in the past",
      { subject: "s", grants: [{ role: Role.GATEWAY }], expires: timestampFromMs(Date.now() - 1) },
    ],
  ];
  test.each(INVALID)("CreateToken refuses %s", async (_what, request) => {
    refused(await door.call(createToken, request, asOwner), "INVALID_ARGUMENT", "INVALID_REQUEST");
  });
});

test.each<[what: string, stop: DescMethodUnary, undo: DescMethodUnary | undefined]>([
  ["locked", UserService.method.lockUser, UserService.method.unlockUser],
  ["inactive", UserService.method.deactivateUser, UserService.method.activateUser],
  ["deleted", UserService.method.deleteUser, undefined],
])("the tokens of a user who is %s are refused until that is undone", async (what, stop, undo) => {
  const [door] = doors as [Door];
  const id = `holder-${what}`;
  await door.call(UserService.method.createUser, { user: { userId: id } }, asOwner);
  const { secret: token } = await tokenMaker(server.url, ADMIN_TOKEN).create(id, ["INSTANCE_OWNER"]);
  const search = () => door.call(searchUsers, {}, { token });
  // Another user must hold the role, or this one would be the last owner.
  const other = `other-${what}`;
  await door.call(UserService.method.createUser, { user: { userId: other } }, asOwner);
  await tokenMaker(server.url, ADMIN_TOKEN).create(other, ["INSTANCE_OWNER"]);

  expect((await search()).code).toBe("OK");
  expect((await door.call(stop, { id } as never, asOwner)).code).toBe("OK");
  refused(await search(), "UNAUTHENTICATED", "TOKEN_INVALID");
  if (!undo) return;
  refused(await door.call(undo, { id } as never, { token }), "UNAUTHENTICATED", "TOKEN_INVALID");
  expect((await door.call(undo, { id } as never, asOwner)).code).toBe("OK");
  expect((await search()).code).toBe("OK");
});

test.each(["INSTANCE_VIEWER", "LOGIN_CLIENT", "GATEWAY"] as const)(
  "the role %s may not create, list or revoke tokens",
  async (role) => {
    const [door] = doors as [Door];
    const { secret: token } = await tokenMaker(server.url, ADMIN_TOKEN).create("other", [role]);
    for (const [method, request] of [
      [createToken, { subject: "s", grants: [{ role: Role.INSTANCE_OWNER }] }],
      [listTokens, {}],
      [revokeToken, { tokenId: "admin" }],
    ] as const) {
      refused(await door.call(method, request as never, { token }), "PERMISSION_DENIED", "PERMISSION_MISSING");
    }
  },
);

test("the store's file has the SHA-256 hash of a token and not the token", async () => {
  const { id, secret } = await tokenMaker(server.url, ADMIN_TOKEN).create("hashed", ["GATEWAY"]);
  const database = new DatabaseSync(folder.file("access.db"), { readOnly: true });
  try {
    const rows = [
      ...database.prepare("SELECT data FROM events").all(),
      ...database.prepare("SELECT state FROM streams").all(),
      ...database.prepare("SELECT name FROM claims").all(),
    ];
    expect(JSON.stringify(rows)).not.toContain(secret.slice("userlock_".length));
    const row = database.prepare("SELECT state FROM streams WHERE id = ?").get(id);
    expect(JSON.parse(row?.state as string).hash).toBe(createHash("sha256").update(secret).digest("base64url"));
  } finally {
    database.close();
  }
});

test("no token appears in the server's output", () => {
  expect(server.stderr() + server.stdout()).not.toMatch(/userlock_[\w-]{43}|test-token/);
});

test.each([
  ["Basic dXNlcjpwYXNz", "TOKEN_INVALID"],
  ["Bearer", "TOKEN_INVALID"],
  ["Bearer a b", "TOKEN_INVALID"],
  [`bearer ${ADMIN_TOKEN}`, undefined],
])("the header 'Authorization: %s' is answered with the right status and challenge", async (authorization, reason) => {
  const response = await fetch(`${server.url}/resources/v3alpha/tokens`, { headers: { authorization } });
  expect(response.status).toBe(reason === undefined ? 200 : 401);
  const challenge = response.headers.get("www-authenticate");
  if (reason === undefined) expect(challenge).toBeNull();
  else expect(challenge).toMatch(/^Bearer realm="userlock", error="invalid_token", error_description="[^"]+"$/);
});

// Proves that logins find the right user and open sessions, and who may see and end a session.
import type { DescMethodUnary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { OwnerType } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../../support/access.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import {
  addUser,
  asOwner,
  byId,
  byName,
  dump,
  failLogins,
  inOrganization,
  logIn,
  ok,
  openSession,
  outcomeOf,
  PASSWORD,
  readLog,
  refused,
  typesOf,
} from "../../support/logins.ts";
import {
  ADMIN_TOKEN,
  QUICK,
  type ServerProcess,
  startServer,
  temporaryFolder,
} from "../../support/servers/server-process.ts";

const { createSession, getSession, listSessions, deleteSession, deleteSessions } = SessionService.method;

const folder = temporaryFolder();
const file = folder.file("login.db");
let server: ServerProcess;
let doors: Door[] = [];
const tokens: Record<string, string | undefined> = { owner: ADMIN_TOKEN };

/** One door for each kind of encoding. */
const NAMES = ["REST", "Connect JSON, ZITADELUsers", "gRPC-Web text, UserService", "gRPC, UserService"];

/** The name "ada" exists in the instance (u-cyd) and in each of the organizations a and b. */
const USERS: Parameters<typeof addUser>[1][] = [
  { id: "u-ada", organization: "a", names: [["Ada.Lovelace"], ["ada", true]] },
  {
    id: "u-bob",
    organization: "b",
    names: [
      ["ADA", true],
      ["bob", true],
    ],
  },
  { id: "u-cyd", names: [["ada"], ["Äpfel@example.com"]] },
];

beforeAll(async () => {
  server = await startServer({ USERLOCK_STORE: `sqlite:${file}` }, QUICK);
  doors = openDoors(server.url);
  for (const user of USERS) await addUser(doors[0] as Door, user);
  const make = tokenMaker(server.url, ADMIN_TOKEN);
  tokens.loginClient = (await make.create("login", ["LOGIN_CLIENT"])).secret;
  tokens.loginClientOfA = (await make.create("login-a", ["LOGIN_CLIENT", "a"])).secret;
  tokens.gateway = (await make.create("gateway", ["GATEWAY"])).secret;
  tokens.viewer = (await make.create("viewer", ["INSTANCE_VIEWER"])).secret;
});

afterAll(async () => {
  for (const door of doors) door.close();
  await server?.stop();
  folder.remove();
});

/** Users that the instance's LOGIN_CLIENT finds. The LOGIN_CLIENT of organization a finds only u-ada. */
const WHO: [who: string, named: Parameters<typeof logIn>[1], found: string | undefined][] = [
  ["an id", byId("u-ada"), "u-ada"],
  ["an id of the instance", byId("u-cyd"), "u-cyd"],
  ["an id in its organization", { ...byId("u-ada"), ...inOrganization("a") }, "u-ada"],
  ["an id in another organization", { ...byId("u-bob"), ...inOrganization("a") }, undefined],
  ["an id of the instance in an organization", { ...byId("u-cyd"), ...inOrganization("a") }, undefined],
  ["an unknown id", byId("u-eve"), undefined],
  ["an id as a login name", byName("u-ada"), undefined],
  ["a login name", byName("Ada.Lovelace"), "u-ada"],
  ["a login name in another case", byName("aDA.lOVELACE"), "u-ada"],
  ["a non-ASCII login name in another case", byName("äPFEL@EXAMPLE.COM"), "u-cyd"],
  ["a login name in full-width letters (NFKC)", byName("Ａｄａ．Ｌｏｖｅｌａｃｅ"), "u-ada"],
  [
    "a login name of the instance in the user's organization",
    { ...byName("ada.lovelace"), ...inOrganization("a") },
    "u-ada",
  ],
  [
    "a login name of the instance in another organization",
    { ...byName("ada.lovelace"), ...inOrganization("b") },
    undefined,
  ],
  ["a name of the instance that organizations also have", byName("ada"), "u-cyd"],
  ["that name in organization a, which has its own", { ...byName("ada"), ...inOrganization("a") }, "u-ada"],
  ["that name in organization b, which has its own", { ...byName("ada"), ...inOrganization("b") }, "u-bob"],
  ["that name in an organization without it", { ...byName("ada"), ...inOrganization("c") }, undefined],
  ["an organization's name without the organization", byName("bob"), undefined],
  ["an unknown login name", byName("nobody"), undefined],
];

/** Refusals that come before the user is looked up. */
const REFUSALS: [what: string, token: string | undefined, request: object, outcome: string][] = [
  ["a caller without a token", undefined, byId("u-ada"), "UNAUTHENTICATED TOKEN_MISSING"],
  ["a caller without the permission", "gateway", byId("u-ada"), "PERMISSION_DENIED PERMISSION_MISSING"],
  ["a missing permission before an invalid request", "viewer", {}, "PERMISSION_DENIED PERMISSION_MISSING"],
  ["a request without a user", "owner", {}, "INVALID_ARGUMENT INVALID_REQUEST"],
  ["an empty id", "owner", byId(""), "INVALID_ARGUMENT INVALID_REQUEST"],
  ["an invalid id", "owner", byId("a b"), "INVALID_ARGUMENT INVALID_REQUEST"],
  ["an empty login name", "owner", byName(""), "INVALID_ARGUMENT INVALID_REQUEST"],
  ["a login name of 201 characters", "owner", byName("x".repeat(201)), "INVALID_ARGUMENT INVALID_REQUEST"],
  ["an empty password", "owner", { ...byId("u-ada"), password: "" }, "INVALID_ARGUMENT INVALID_REQUEST"],
  [
    "a password of 1001 characters",
    "owner",
    { ...byId("u-ada"), password: "x".repeat(1_001) },
    "INVALID_ARGUMENT INVALID_REQUEST",
  ],
  [
    "a device token of 1001 characters",
    "owner",
    { ...byId("u-ada"), deviceToken: "x".repeat(1_001) },
    "INVALID_ARGUMENT INVALID_REQUEST",
  ],
  [
    "an organization outside the grants",
    "loginClientOfA",
    { ...byId("u-bob"), ...inOrganization("b") },
    "PERMISSION_DENIED PERMISSION_MISSING",
  ],
  [
    "an organization's domain",
    "owner",
    { ...byId("u-ada"), organization: { property: { case: "orgDomain", value: "a.example.com" } } },
    "UNIMPLEMENTED NOT_SERVED",
  ],
];

/** Callers and proofs, with their outcomes for a session in organization a. */
const PROOFS: { who: string; token: string; proof?: "own" | "other's" | "wrong"; get: string; end: string }[] = [
  { who: "session.read and session.write", token: "loginClient", get: "OK", end: "OK" },
  { who: "session.read and session.write on the organization", token: "loginClientOfA", get: "OK", end: "OK" },
  {
    who: "session.read and session.write with a wrong session token",
    token: "loginClient",
    proof: "wrong",
    get: "OK",
    end: "OK",
  },
  { who: "session.read only", token: "gateway", get: "OK", end: "PERMISSION_DENIED PERMISSION_MISSING" },
  { who: "session.read with the session's token", token: "gateway", proof: "own", get: "OK", end: "OK" },
  { who: "no permission and the session's token", token: "viewer", proof: "own", get: "OK", end: "OK" },
  ...([undefined, "other's", "wrong"] as const).map((proof) => ({
    who: `no permission and ${proof === undefined ? "no" : `the ${proof}`} session token`,
    token: "viewer",
    ...(proof && { proof }),
    get: "PERMISSION_DENIED PERMISSION_MISSING",
    end: "PERMISSION_DENIED PERMISSION_MISSING",
  })),
];

describe.each(NAMES)("over %s", (name) => {
  let door: Door;
  beforeAll(() => {
    door = doors.find((candidate) => candidate.name === name) as Door;
  });

  test.each(WHO)("CreateSession finds the right user, or none, by %s", async (_who, named, found) => {
    for (const [client, seen] of [
      ["loginClient", found],
      ["loginClientOfA", found === "u-ada" ? found : undefined],
    ] as const) {
      const organization = named.organization?.property.value;
      if (client === "loginClientOfA" && organization !== undefined && organization !== "a") continue;
      const answer = await logIn(door, named, tokens[client]);
      if (seen === undefined) {
        refused(answer, "UNAUTHENTICATED", "LOGIN_FAILED");
        continue;
      }
      ok(answer);
      const { sessionToken, sessionId } = answer.response!;
      const got = await door.call(getSession, { sessionId, sessionToken }, { token: tokens.viewer });
      expect(got.response?.session?.userId).toBe(seen);
    }
  });

  test.each(REFUSALS)("CreateSession refuses %s", async (_what, token, request, outcome) => {
    const attempt = { password: PASSWORD, ...request };
    expect(outcomeOf(await door.call(createSession, attempt as never, { token: token && tokens[token] }))).toBe(
      outcome,
    );
  });

  test("CreateSession opens a session of 12 hours with its user's owner and tokens of 256 bits", async () => {
    const { response } = await logIn(door, byId("u-ada"), tokens.loginClient);
    const { details, sessionId, sessionToken, deviceToken, expires, changeRequired } = response!;
    expect(details).toMatchObject({ id: sessionId, owner: { type: OwnerType.ORG, id: "a" } });
    expect(sessionId).toMatch(/^\d{24}$/);
    expect(sessionToken).toMatch(/^userlock_session_[\w-]{43}$/);
    expect(deviceToken).not.toBe("");
    expect(changeRequired).toBe(false);
    expect(Math.abs(timestampMs(expires!) - timestampMs(details!.created!) - 12 * 3_600_000)).toBeLessThan(1_000);
    const { session } = (await door.call(getSession, { sessionId }, asOwner)).response!;
    expect(session).toMatchObject({ details, userId: "u-ada", expires });
  });

  test.each(PROOFS)(
    "a caller with $who gets $get from GetSession and $end from DeleteSession",
    async ({ token, proof, get, end }) => {
      const { sessionId, sessionToken: own } = await openSession(door, "u-ada");
      const { sessionToken: other } = await openSession(door, "u-ada");
      const sessionToken = proof === undefined ? "" : { own, "other's": other, wrong: `${own}x` }[proof];
      const caller = { token: tokens[token] };
      expect(outcomeOf(await door.call(getSession, { sessionId, sessionToken }, caller))).toBe(get);
      expect(outcomeOf(await door.call(deleteSession, { sessionId, sessionToken }, caller))).toBe(end);
      expect(outcomeOf(await door.call(getSession, { sessionId }, asOwner))).toBe(
        end === "OK" ? "NOT_FOUND SESSION_NOT_FOUND" : "OK",
      );
    },
  );

  test("a session token as bearer reads and ends its own session and no other", async () => {
    const { sessionId, sessionToken } = await openSession(door, "u-ada");
    const { sessionId: other } = await openSession(door, "u-ada");
    const asUser = { token: sessionToken };
    refused(await door.call(getSession, { sessionId }, asUser), "PERMISSION_DENIED", "PERMISSION_MISSING");
    refused(
      await door.call(deleteSession, { sessionId: other, sessionToken }, asUser),
      "PERMISSION_DENIED",
      "PERMISSION_MISSING",
    );
    ok(await door.call(getSession, { sessionId, sessionToken }, asUser));
    ok(await door.call(deleteSession, { sessionId, sessionToken }, asUser));
    refused(await door.call(getSession, { sessionId, sessionToken }, asUser), "UNAUTHENTICATED", "TOKEN_INVALID");
    ok(await door.call(getSession, { sessionId: other }, asOwner));
  });

  test("a LOGIN_CLIENT of an organization reaches only sessions of the organization's users", async () => {
    const { sessionId } = await openSession(door, "u-bob");
    const asClient = { token: tokens.loginClientOfA };
    refused(await door.call(getSession, { sessionId }, asClient), "NOT_FOUND", "SESSION_NOT_FOUND");
    refused(await door.call(getSession, { sessionId: "no-such" }, asClient), "NOT_FOUND", "SESSION_NOT_FOUND");
    refused(await door.call(deleteSession, { sessionId }, asClient), "NOT_FOUND", "SESSION_NOT_FOUND");
    for (const id of ["u-bob", "u-cyd", "nobody"]) {
      refused(await door.call(listSessions, { id }, asClient), "NOT_FOUND", "USER_NOT_FOUND");
      refused(await door.call(deleteSessions, { id }, asClient), "NOT_FOUND", "USER_NOT_FOUND");
    }
    ok(await door.call(getSession, { sessionId }, asOwner));
    ok(await door.call(listSessions, { id: "u-ada" }, asClient));
  });

  test("a session token as bearer lists and ends the sessions of its own user only", async () => {
    const id = await addUser(door, { id: `own-${NAMES.indexOf(name)}` });
    const { sessionId } = await openSession(door, id);
    const { sessionId: own, sessionToken, deviceToken } = await openSession(door, id);
    const asUser = { token: sessionToken };
    // The same refusal whether or not the user exists and the request is valid.
    for (const other of ["u-ada", "nobody", `${id}x`, "", "not an id"]) {
      const request = { id: other };
      // REST has no path for an empty id.
      if (other === "" && name === "REST") continue;
      refused(await door.call(listSessions, request, asUser), "PERMISSION_DENIED", "PERMISSION_MISSING");
      refused(await door.call(deleteSessions, request, asUser), "PERMISSION_DENIED", "PERMISSION_MISSING");
    }
    ok(await door.call(listSessions, { id: "u-ada" }, asOwner));

    const listed = (await door.call(listSessions, { id }, asUser)).response!;
    expect(listed.result.map(({ details }) => details?.id)).toEqual([sessionId, own]);
    const tooMany = { id, query: { limit: 4_000_000_000 } };
    refused(await door.call(listSessions, tooMany, asUser), "INVALID_ARGUMENT", "INVALID_REQUEST");
    const ended = await door.call(deleteSessions, { id }, asUser);
    expect(outcomeOf(ended)).toBe("OK");
    expect(ended.response?.details?.id).toBe(id);
    refused(await door.call(listSessions, { id }, asUser), "UNAUTHENTICATED", "TOKEN_INVALID");
    expect((await door.call(listSessions, { id }, asOwner)).response?.result).toEqual([]);
    await failLogins(door, id, 5);
    refused(await logIn(door, { ...byId(id), deviceToken }), "UNAUTHENTICATED", "LOGIN_FAILED");
  });

  test("an access token of a user does not reach the user's sessions without the permission", async () => {
    const token = (await tokenMaker(server.url, ADMIN_TOKEN).create("u-ada", ["ORG_VIEWER", "a"])).secret;
    for (const method of [listSessions, deleteSessions]) {
      refused(
        await door.call(method as DescMethodUnary, { id: "u-ada" } as never, { token }),
        "PERMISSION_DENIED",
        "PERMISSION_MISSING",
      );
    }
  });

  test("ListSessions lists open sessions, oldest first, in pages, and DeleteSessions ends them all", async () => {
    const id = await addUser(door, { id: `lister-${NAMES.indexOf(name)}` });
    const asClient = { token: tokens.loginClient };
    const sessions: string[] = [];
    for (let count = 0; count < 4; count++) sessions.push((await openSession(door, id)).sessionId);
    ok(await door.call(deleteSession, { sessionId: sessions.splice(1, 1)[0] as string }, asClient));
    const idsOf = async (query: object) => {
      const { response } = await door.call(listSessions, { id, query }, { token: tokens.gateway });
      expect(response!.details?.totalResult).toBe(3n);
      expect(response!.result.every(({ userId }) => userId === id)).toBe(true);
      return response!.result.map(({ details }) => details?.id);
    };
    expect(await idsOf({})).toEqual(sessions);
    expect(await idsOf({ desc: true })).toEqual([...sessions].reverse());
    expect(await idsOf({ offset: 1n, limit: 1 })).toEqual([sessions[1]]);

    refused(
      await door.call(deleteSessions, { id }, { token: tokens.gateway }),
      "PERMISSION_DENIED",
      "PERMISSION_MISSING",
    );
    const ended = await door.call(deleteSessions, { id }, asClient);
    ok(ended);
    expect(ended.response?.details?.id).toBe(id);
    expect((await door.call(listSessions, { id }, asClient)).response?.result).toEqual([]);
  });

  test("ListSessions and GetSession show the address and the User-Agent of the login page's user, or of the caller", async () => {
    const id = await addUser(door, { id: `seen-${NAMES.indexOf(name)}` });
    const told = { address: "2001:db8::7", userAgent: `${"x".repeat(199)}😀` };
    const sessions = [await openSession(door, id), await openSession(door, id, told)];
    const { response } = await door.call(listSessions, { id }, asOwner);
    expect(response!.result.map(({ address, userAgent }) => [address, userAgent])).toEqual([
      [expect.stringMatching(/127\.0\.0\.1$/), expect.any(String)],
      ["2001:db8::7", `${"x".repeat(199)}\ufffd`],
    ]);
    const got = await door.call(getSession, { sessionId: sessions[1]!.sessionId }, asOwner);
    expect(got.response?.session).toMatchObject({ address: "2001:db8::7" });
  });
});

test("the store and the log forget the address and the User-Agent of a login page's user when the session ends", async () => {
  const [door] = doors as [Door];
  const id = await addUser(door, { id: "forgotten" });
  const { sessionId } = await openSession(door, id, { address: "198.51.100.23", userAgent: "Agent of the forgotten" });
  const hasBoth = () =>
    ["198.51.100.23", "Agent of the forgotten"].map((text) => JSON.stringify(dump(file)).includes(text));
  expect(hasBoth()).toEqual([true, true]);
  expect(JSON.stringify(readLog(file, sessionId, "session"))).not.toMatch(/198\.51|Agent of the forgotten/);
  ok(await door.call(deleteSession, { sessionId }, asOwner));
  expect(hasBoth()).toEqual([false, false]);
});

test("the log has events of logins and sessions, and the store's file has no secret in clear text", async () => {
  const [door] = doors as [Door];
  const id = await addUser(door, { id: "secretive", password: "the-secret-of-secretive" });
  refused(await logIn(door, { ...byId(id), password: "wrong-secret-here" }), "UNAUTHENTICATED", "LOGIN_FAILED");
  const session = await openSession(door, id, { password: "the-secret-of-secretive" });
  ok(await door.call(deleteSession, { sessionId: session.sessionId }, asOwner));
  expect(typesOf(readLog(file, id))).toEqual(["user.created", "user.login_failed", "user.login_succeeded"]);
  expect(typesOf(readLog(file, session.sessionId, "session"))).toEqual(["session.opened", "session.ended"]);
  expect(JSON.stringify(readLog(file, id))).not.toContain("$argon2");

  const everything = JSON.stringify(dump(file)) + server.stdout() + server.stderr();
  for (const secret of ["the-secret-of-secretive", "wrong-secret-here", session.sessionToken, session.deviceToken]) {
    expect(everything).not.toContain(secret);
  }
});

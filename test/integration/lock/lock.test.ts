// Proves that users are locked and unlocked over every protocol, with the same answers.
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import {
  type Details,
  LockCause,
  OwnerType,
  State,
  UserService,
} from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../../support/access.ts";
import { type Answer, type Door, openDoors } from "../../support/clients/doors.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

const { createUser, getUser, lockUser, unlockUser, activateUser, deactivateUser, deleteUser } = UserService.method;

const folder = temporaryFolder();
let server: ServerProcess;
let doors: Door[] = [];
const tokens: Record<string, string> = {};

/** The names of the doors, for tables that are built before a server starts. */
const NAMES = openDoors("http://127.0.0.1:1").map((door) => {
  door.close();
  return door.name;
});

beforeAll(async () => {
  server = await startServer({ USERLOCK_STORE: `sqlite:${folder.file("lock.db")}` });
  doors = openDoors(server.url);
  const make = tokenMaker(server.url, ADMIN_TOKEN);
  tokens.owner = ADMIN_TOKEN;
  tokens.reader = (await make.create("reader", ["INSTANCE_VIEWER"])).secret;
  tokens.managerOfA = (await make.create("manager-a", ["ORG_USER_MANAGER", "a"])).secret;
  tokens.viewerOfA = (await make.create("viewer-a", ["ORG_VIEWER", "a"])).secret;
  tokens.gateway = (await make.create("gateway", ["GATEWAY"])).secret;
  tokens.expired = await make.createExpiring("expired", 400);
  const revoked = await make.create("revoked", ["INSTANCE_OWNER"]);
  await make.revoke(revoked.id);
  tokens.revoked = revoked.secret;
  await sleep(500);
});

afterAll(async () => {
  for (const door of doors) door.close();
  await server?.stop();
  folder.remove();
});

const doorOf = (name: string) => doors.find((door) => door.name === name) as Door;

let users = 0;
/** Creates a user, in the organization if one is given. */
async function newUser(door: Door, organization?: string, id = `u${++users}`): Promise<string> {
  const answer = await door.call(
    createUser,
    {
      user: { userId: id },
      ...(organization && { organization: { property: { case: "orgId", value: organization } } }),
    },
    { token: ADMIN_TOKEN },
  );
  expect(answer.code).toBe("OK");
  return id;
}

const ok = (answer: Answer) => expect(answer).toMatchObject({ code: "OK" });
const refused = (answer: Answer, code: string, reason: string) =>
  expect({ code: answer.code, reason: answer.reason }).toEqual({ code, reason });
const inOrganization = (value: string) => ({ organization: { property: { case: "orgId" as const, value } } });

/** Type and time of a user's events, from the store's file. */
function logOf(id: string): { type: string; time: number }[] {
  const database = new DatabaseSync(folder.file("lock.db"), { readOnly: true });
  try {
    const rows = database
      .prepare("SELECT type, time FROM events WHERE kind = 'user' AND id = ? ORDER BY version")
      .all(id);
    return rows.map(({ type, time }) => ({ type: type as string, time: time as number }));
  } finally {
    database.close();
  }
}

const micros = (time: Details["created"]) => Number(time?.seconds) * 1e6 + Number(time?.nanos) / 1e3;

/** The expected refusals for a token, a request and a state. Users without an organization belong to the instance. */
const REFUSALS: {
  name: string;
  token?: string;
  bearer?: string;
  user?: { organization?: string; before?: (door: Door, id: string) => Promise<unknown>; id?: string };
  request?: object;
  expect: [code: string, reason: string];
}[] = [
  { name: "a missing token", expect: ["UNAUTHENTICATED", "TOKEN_MISSING"] },
  { name: "an unknown token", bearer: "no-such-token-at-all", expect: ["UNAUTHENTICATED", "TOKEN_INVALID"] },
  { name: "an expired token", token: "expired", expect: ["UNAUTHENTICATED", "TOKEN_EXPIRED"] },
  { name: "a revoked token", token: "revoked", expect: ["UNAUTHENTICATED", "TOKEN_INVALID"] },
  { name: "a caller without the permission", token: "gateway", expect: ["PERMISSION_DENIED", "PERMISSION_MISSING"] },
  { name: "a caller who may only read", token: "reader", expect: ["PERMISSION_DENIED", "PERMISSION_MISSING"] },
  {
    name: "a missing token before an invalid request",
    request: { id: "" },
    expect: ["UNAUTHENTICATED", "TOKEN_MISSING"],
  },
  {
    name: "a missing permission before an invalid request",
    token: "gateway",
    request: { id: "" },
    expect: ["PERMISSION_DENIED", "PERMISSION_MISSING"],
  },
  { name: "an empty id", token: "owner", request: { id: "" }, expect: ["INVALID_ARGUMENT", "INVALID_REQUEST"] },
  {
    name: "an id of 201 characters",
    token: "owner",
    request: { id: "x".repeat(201) },
    expect: ["INVALID_ARGUMENT", "INVALID_REQUEST"],
  },
  {
    name: "an id with a space",
    token: "owner",
    request: { id: "a b" },
    expect: ["INVALID_ARGUMENT", "INVALID_REQUEST"],
  },
  {
    name: "a note of 501 characters",
    token: "owner",
    request: { note: "x".repeat(501) },
    expect: ["INVALID_ARGUMENT", "INVALID_REQUEST"],
  },
  {
    name: "a reason with a space",
    token: "owner",
    request: { reason: "two words" },
    expect: ["INVALID_ARGUMENT", "INVALID_REQUEST"],
  },
  { name: "an unknown user", token: "owner", request: { id: "nobody" }, expect: ["NOT_FOUND", "USER_NOT_FOUND"] },
  {
    name: "a deleted user",
    token: "owner",
    user: { before: (door, id) => door.call(deleteUser, { id }, { token: ADMIN_TOKEN }) },
    expect: ["NOT_FOUND", "USER_NOT_FOUND"],
  },
  {
    name: "an organization outside the grants",
    token: "managerOfA",
    user: { organization: "b" },
    request: inOrganization("b"),
    expect: ["PERMISSION_DENIED", "PERMISSION_MISSING"],
  },
  {
    name: "an organization outside the grants before an unknown user",
    token: "managerOfA",
    request: { id: "nobody", ...inOrganization("b") },
    expect: ["PERMISSION_DENIED", "PERMISSION_MISSING"],
  },
  {
    name: "an invalid request before an organization outside the grants",
    token: "managerOfA",
    request: { id: "", ...inOrganization("b") },
    expect: ["INVALID_ARGUMENT", "INVALID_REQUEST"],
  },
  {
    name: "an organization that the user is not in",
    token: "owner",
    user: { organization: "a" },
    request: inOrganization("b"),
    expect: ["NOT_FOUND", "USER_NOT_FOUND"],
  },
  {
    name: "a manager with a user of another organization",
    token: "managerOfA",
    user: { organization: "b" },
    expect: ["NOT_FOUND", "USER_NOT_FOUND"],
  },
  {
    name: "a manager with a user of the instance",
    token: "managerOfA",
    expect: ["NOT_FOUND", "USER_NOT_FOUND"],
  },
  {
    name: "a manager with a locked user of another organization, as for an unknown user",
    token: "managerOfA",
    user: { organization: "b", before: (door, id) => door.call(lockUser, { id }, { token: ADMIN_TOKEN }) },
    expect: ["NOT_FOUND", "USER_NOT_FOUND"],
  },
  {
    name: "a viewer of the organization",
    token: "viewerOfA",
    user: { organization: "a" },
    expect: ["PERMISSION_DENIED", "PERMISSION_MISSING"],
  },
  {
    name: "another instance",
    token: "owner",
    request: { instance: { property: { case: "id", value: "other" } } },
    expect: ["NOT_FOUND", "INSTANCE_NOT_FOUND"],
  },
  {
    name: "an organization's domain",
    token: "owner",
    request: { organization: { property: { case: "orgDomain", value: "example.com" } } },
    expect: ["UNIMPLEMENTED", "NOT_SERVED"],
  },
  {
    name: "a user who is already locked",
    token: "owner",
    user: { before: (door, id) => door.call(lockUser, { id }, { token: ADMIN_TOKEN }) },
    expect: ["FAILED_PRECONDITION", "USER_ALREADY_LOCKED"],
  },
  {
    name: "a caller who locks their own user",
    token: "owner",
    user: { id: "admin" },
    expect: ["FAILED_PRECONDITION", "SELF_LOCK"],
  },
];

describe.each(NAMES)("LockUser over %s", (name) => {
  let door: Door;
  beforeAll(() => {
    door = doorOf(name);
  });
  const asOwner = { token: ADMIN_TOKEN };

  test("locks a user, and GetUser shows the lock", async () => {
    const id = await newUser(door);
    const request = { id, reason: "fraud", note: "Called from a stolen phone." };
    const answer = await door.call(lockUser, request, asOwner);
    ok(answer);
    expect(answer.response?.details).toMatchObject({ id, owner: { type: OwnerType.INSTANCE, id: "default" } });

    const { response } = await door.call(getUser, { id }, asOwner);
    expect(response?.user?.state).toBe(State.USER_STATE_LOCKED);
    expect(response?.user?.lock).toMatchObject({
      cause: LockCause.MANUAL,
      reason: "fraud",
      note: "Called from a stolen phone.",
      lockedBy: "admin",
      since: answer.response?.details?.changed,
    });
  });

  test("returns the times of the first and the last event, to the microsecond", async () => {
    const id = await newUser(door);
    const answer = await door.call(lockUser, { id }, asOwner);
    const [first, last, ...more] = logOf(id);
    expect(more).toEqual([]);
    expect([first?.type, last?.type]).toEqual(["user.created", "user.locked"]);
    expect(micros(answer.response?.details?.created)).toBe(first?.time);
    expect(micros(answer.response?.details?.changed)).toBe(last?.time);
    expect(Math.abs(timestampDate(answer.response!.details!.changed!).getTime() - Date.now())).toBeLessThan(5_000);
  });

  test("sets the reason manual if none is given", async () => {
    const id = await newUser(door);
    ok(await door.call(lockUser, { id }, asOwner));
    const { response } = await door.call(getUser, { id }, asOwner);
    expect(response?.user?.lock?.reason).toBe("manual");
  });

  test("locks again after an unlock", async () => {
    const id = await newUser(door);
    refused(await door.call(unlockUser, { id }, asOwner), "FAILED_PRECONDITION", "USER_NOT_LOCKED");
    ok(await door.call(lockUser, { id }, asOwner));
    ok(await door.call(unlockUser, { id }, asOwner));
    const { response } = await door.call(getUser, { id }, asOwner);
    expect(response?.user).toMatchObject({ state: State.USER_STATE_ACTIVE });
    expect(response?.user?.lock).toBeUndefined();
    ok(await door.call(lockUser, { id }, asOwner));
    expect(logOf(id).map(({ type }) => type)).toEqual(["user.created", "user.locked", "user.unlocked", "user.locked"]);
  });

  test("locks an inactive user, and an unlock restores the inactive state", async () => {
    const id = await newUser(door);
    const stateOf = async () => (await door.call(getUser, { id }, asOwner)).response?.user?.state;
    const lifecycleOf = async () => (await door.call(getUser, { id }, asOwner)).response?.user?.lifecycle;
    refused(await door.call(activateUser, { id }, asOwner), "FAILED_PRECONDITION", "USER_NOT_INACTIVE");
    ok(await door.call(deactivateUser, { id }, asOwner));
    refused(await door.call(deactivateUser, { id }, asOwner), "FAILED_PRECONDITION", "USER_ALREADY_INACTIVE");
    ok(await door.call(lockUser, { id }, asOwner));
    expect(await stateOf()).toBe(State.USER_STATE_LOCKED);
    expect(await lifecycleOf()).toBe(State.USER_STATE_INACTIVE);
    ok(await door.call(unlockUser, { id }, asOwner));
    expect(await stateOf()).toBe(State.USER_STATE_INACTIVE);
    ok(await door.call(lockUser, { id }, asOwner));
    ok(await door.call(activateUser, { id }, asOwner));
    expect(await stateOf()).toBe(State.USER_STATE_LOCKED);
    expect(await lifecycleOf()).toBe(State.USER_STATE_ACTIVE);
    ok(await door.call(unlockUser, { id }, asOwner));
    expect(await stateOf()).toBe(State.USER_STATE_ACTIVE);
  });

  test("lets an organization's manager lock a user of the organization", async () => {
    const id = await newUser(door, "a");
    const answer = await door.call(lockUser, { id, ...inOrganization("a") }, { token: tokens.managerOfA });
    ok(answer);
    expect(answer.response?.details?.owner).toMatchObject({ type: OwnerType.ORG, id: "a" });
  });

  test.each(REFUSALS)("refuses $name", async ({ token, bearer, user, request, expect: [code, reason] }) => {
    const id = user?.id ?? `u${++users}`;
    // A user with a fixed id exists after the first door's test.
    const isThere = (await door.call(getUser, { id }, asOwner)).code === "OK";
    if (!isThere) await newUser(door, user?.organization, id);
    await user?.before?.(door, id);
    const before = logOf(id).length;

    const presented = token === undefined ? bearer : tokens[token];
    const answer = await door.call(lockUser, { id, ...request }, { token: presented });
    refused(answer, code, reason);
    expect(answer.info?.domain).toBe("userlock");
    expect(answer.message).not.toBe("");
    if (code === "INVALID_ARGUMENT") expect(answer.badRequest?.fieldViolations).not.toEqual([]);
    if (code === "FAILED_PRECONDITION") expect(answer.detailTypes).toContain("PreconditionFailure");
    expect(logOf(id).length).toBe(before);
  });
});

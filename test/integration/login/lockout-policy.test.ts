// Proves that lockout policies are set, read and inherited.
import { type MessageInitShape, toJson } from "@bufbuild/protobuf";
import {
  type LockoutPolicy,
  LockoutPolicySchema,
  SettingsService,
} from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import { OwnerType } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../../support/access.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import {
  addUser,
  asOwner,
  byId,
  failLogins,
  inOrganization,
  logIn,
  ok,
  outcomeOf,
  refused,
  seconds,
} from "../../support/logins.ts";
import { ADMIN_TOKEN, QUICK, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const { getLockoutPolicy, setLockoutPolicy, resetLockoutPolicy } = SettingsService.method;

type Policy = MessageInitShape<typeof LockoutPolicySchema>;

let server: ServerProcess;
let doors: Door[] = [];
const tokens: Record<string, string | undefined> = { owner: ADMIN_TOKEN };

const NAMES = openDoors("http://127.0.0.1:1").map((door) => {
  door.close();
  return door.name;
});

beforeAll(async () => {
  server = await startServer({}, QUICK);
  doors = openDoors(server.url);
  const make = tokenMaker(server.url, ADMIN_TOKEN);
  tokens.viewer = (await make.create("viewer", ["INSTANCE_VIEWER"])).secret;
  tokens.ownerOfA = (await make.create("owner-a", ["ORG_OWNER", "a"])).secret;
  tokens.managerOfA = (await make.create("manager-a", ["ORG_USER_MANAGER", "a"])).secret;
  tokens.loginClient = (await make.create("login", ["LOGIN_CLIENT"])).secret;
});

afterAll(async () => {
  for (const door of doors) door.close();
  await server?.stop();
});

const DEFAULTS = {
  maxAttempts: 5,
  window: "900s",
  lockDuration: "60s",
  maxLockDuration: "3600s",
  knownDevicesPass: true,
  revealLock: false,
};

/** A policy whose fields all differ from the defaults, including false and 0. */
const OTHER: Policy = {
  maxAttempts: 0,
  window: seconds(1),
  lockDuration: { seconds: 1n, nanos: 500_000_000 },
  maxLockDuration: seconds(0),
  knownDevicesPass: false,
  revealLock: true,
};
const OTHER_JSON = {
  maxAttempts: 0,
  window: "1s",
  lockDuration: "1.500s",
  maxLockDuration: "0s",
  knownDevicesPass: false,
  revealLock: true,
};

/** Callers, the policy's organization, and the outcomes of reading and setting it. */
const CALLERS: [caller: string | undefined, organization: string | undefined, read: string, write: string][] = [
  ["owner", undefined, "OK", "OK"],
  ["owner", "a", "OK", "OK"],
  ["viewer", undefined, "OK", "PERMISSION_DENIED PERMISSION_MISSING"],
  ["viewer", "a", "OK", "PERMISSION_DENIED PERMISSION_MISSING"],
  ["ownerOfA", "a", "OK", "OK"],
  ["ownerOfA", "b", "PERMISSION_DENIED PERMISSION_MISSING", "PERMISSION_DENIED PERMISSION_MISSING"],
  ["ownerOfA", undefined, "PERMISSION_DENIED PERMISSION_MISSING", "PERMISSION_DENIED PERMISSION_MISSING"],
  ["managerOfA", "a", "OK", "PERMISSION_DENIED PERMISSION_MISSING"],
  ["loginClient", undefined, "PERMISSION_DENIED PERMISSION_MISSING", "PERMISSION_DENIED PERMISSION_MISSING"],
  [undefined, undefined, "UNAUTHENTICATED TOKEN_MISSING", "UNAUTHENTICATED TOKEN_MISSING"],
];

const INVALID: [what: string, policy: Policy][] = [
  ["100 attempts", { maxAttempts: 100 }],
  ["a window of zero", { window: seconds(0) }],
  ["a window of less than a second", { window: { seconds: 0n, nanos: 999_999_999 } }],
  ["a window of more than 30 days", { window: { seconds: 2_592_000n, nanos: 1_000 } }],
  ["a lock of zero", { lockDuration: seconds(0) }],
  ["a negative lock", { lockDuration: seconds(-60) }],
  ["a lock of more than 30 days", { lockDuration: seconds(2_592_001) }],
  ["a negative longest lock", { maxLockDuration: seconds(-1) }],
  ["a longest lock of more than 30 days", { maxLockDuration: seconds(2_592_001) }],
];

describe.each(NAMES)("over %s", (name) => {
  let door: Door;
  beforeAll(() => {
    door = doors.find((candidate) => candidate.name === name) as Door;
  });
  const place = (organization: string | undefined) => (organization === undefined ? {} : inOrganization(organization));

  async function policyOf(organization?: string): Promise<{ policy: unknown; isInherited: boolean }> {
    const { response } = await door.call(getLockoutPolicy, place(organization), asOwner);
    return { policy: toJson(LockoutPolicySchema, response!.policy!), isInherited: response!.isInherited };
  }
  const set = (policy: Policy, organization?: string, token = ADMIN_TOKEN) =>
    door.call(setLockoutPolicy, { ...place(organization), policy }, { token });
  const reset = (organization?: string) => door.call(resetLockoutPolicy, place(organization), asOwner);
  afterEach(async () => {
    for (const organization of [undefined, "a", "b"]) await reset(organization);
  });

  test("the policy in force is the organization's, else the instance's, else the default", async () => {
    expect(await policyOf()).toEqual({ policy: DEFAULTS, isInherited: true });
    expect(await policyOf("a")).toEqual({ policy: DEFAULTS, isInherited: true });

    ok(await set({ maxAttempts: 3, revealLock: true }));
    const ofInstance = { ...DEFAULTS, maxAttempts: 3, revealLock: true };
    expect(await policyOf()).toEqual({ policy: ofInstance, isInherited: false });
    expect(await policyOf("a")).toEqual({ policy: ofInstance, isInherited: true });

    ok(await set({ revealLock: false, window: seconds(60) }, "a"));
    expect(await policyOf("a")).toEqual({
      policy: { ...ofInstance, revealLock: false, window: "60s" },
      isInherited: false,
    });
    expect(await policyOf("b")).toEqual({ policy: ofInstance, isInherited: true });

    ok(await set({ maxAttempts: 4 }));
    expect((await policyOf("a")).policy).toEqual({ ...DEFAULTS, maxAttempts: 4, window: "60s" });
    ok(await reset());
    expect(await policyOf()).toEqual({ policy: DEFAULTS, isInherited: true });
    expect((await policyOf("a")).policy).toEqual({ ...DEFAULTS, window: "60s" });
    ok(await reset("a"));
    expect(await policyOf("a")).toEqual({ policy: DEFAULTS, isInherited: true });
  });

  test("GetLockoutPolicy tells the fields that are set here from what the others inherit", async () => {
    const partsOf = async (organization?: string) => {
      const { own, inherited } = (await door.call(getLockoutPolicy, place(organization), asOwner)).response!;
      const json = (policy: LockoutPolicy | undefined) => policy && toJson(LockoutPolicySchema, policy);
      return { own: json(own), inherited: json(inherited) };
    };
    expect(await partsOf()).toEqual({ own: undefined, inherited: DEFAULTS });
    ok(await set({ maxAttempts: 3, revealLock: true }));
    ok(await set({ maxLockDuration: seconds(0), revealLock: false }, "a"));
    const ofInstance = { maxAttempts: 3, revealLock: true };
    expect(await partsOf()).toEqual({ own: ofInstance, inherited: DEFAULTS });
    expect(await partsOf("a")).toEqual({
      own: { maxLockDuration: "0s", revealLock: false },
      inherited: { ...DEFAULTS, ...ofInstance },
    });
    expect(await partsOf("b")).toEqual({ own: undefined, inherited: { ...DEFAULTS, ...ofInstance } });
    ok(await set({}, "b"));
    expect((await partsOf("b")).own).toEqual({});
  });

  test("SetLockoutPolicy stores every field, including false and 0, and replaces the whole policy", async () => {
    const answer = await set(OTHER, "a");
    ok(answer);
    expect(answer.response?.details?.owner).toMatchObject({ type: OwnerType.ORG, id: "a" });
    expect(await policyOf("a")).toEqual({ policy: OTHER_JSON, isInherited: false });
    ok(await set({}, "a"));
    expect(await policyOf("a")).toEqual({ policy: DEFAULTS, isInherited: false });
    expect((await set(OTHER)).response?.details?.owner).toMatchObject({ type: OwnerType.INSTANCE, id: "default" });
  });

  test("ResetLockoutPolicy answers POLICY_NOT_FOUND if no policy is set", async () => {
    refused(await reset("b"), "NOT_FOUND", "POLICY_NOT_FOUND");
    ok(await set({}, "b"));
    ok(await reset("b"));
    refused(await reset("b"), "NOT_FOUND", "POLICY_NOT_FOUND");
  });

  test.each(CALLERS)(
    "the caller %s with organization %s gets %s for reading, and %s for setting and resetting",
    async (caller, organization, read, write) => {
      const token = caller && tokens[caller];
      const get = await door.call(getLockoutPolicy, place(organization), { token });
      expect(outcomeOf(get)).toBe(read);
      const setting = await door.call(setLockoutPolicy, { ...place(organization), policy: {} }, { token });
      expect(outcomeOf(setting)).toBe(write);
      if (write !== "OK") ok(await set({}, organization));
      expect(outcomeOf(await door.call(resetLockoutPolicy, place(organization), { token }))).toBe(write);
    },
  );

  test.each(INVALID)("SetLockoutPolicy refuses %s", async (_what, policy) => {
    refused(await set(policy), "INVALID_ARGUMENT", "INVALID_REQUEST");
    expect((await policyOf()).isInherited).toBe(true);
  });

  test("a policy applies at once to the users of its organization and to no others", async () => {
    const [inA, inB] = ["a", "b"].map((organization) => ({
      id: `${organization}-${NAMES.indexOf(name)}`,
      organization,
    }));
    for (const user of [inA!, inB!]) await addUser(door, user);
    await failLogins(door, inA!.id, 1);
    ok(await set({ maxAttempts: 1 }, "a"));
    for (const { id } of [inA!, inB!]) await failLogins(door, id, 1);
    expect(outcomeOf(await logIn(door, byId(inA!.id)))).toBe("UNAUTHENTICATED LOGIN_FAILED");
    ok(await logIn(door, byId(inB!.id)));
  });
});

// Proves that commands on a user give the right events or the right refusal.
import type { Owner } from "../../../src/domain/access.ts";
import type { Occasion } from "../../../src/domain/aggregate.ts";
import { MAX_USERNAMES, type UserCommand, user } from "../../../src/domain/user.ts";
import type { Profile, User, UserEvent, Username } from "../../../src/domain/user-state.ts";

const NOW = 1_764_000_000_000_000;
const INSTANCE: Owner = { type: "instance", id: "default" };
const org = (id: string): Owner => ({ type: "org", id });
const by = (subject: string, time = NOW): Occasion => ({ time, actor: { subject } });

const name = (text: string, id = `id of ${text}`): Username => ({ id, name: text, organizationSpecific: false });
const nameInOrg = (text: string): Username => ({ ...name(text), organizationSpecific: true });

type Start = { owner?: Owner; profile?: Profile; usernames?: Username[] };
const start = ({ owner = INSTANCE, profile = {}, usernames = [] }: Start = {}) => ({
  id: "u1",
  owner,
  profile,
  usernames,
});
const create = (more?: Start): UserCommand => ({ type: "create", ...start(more) });
const created = (more?: Start): UserEvent => ({ type: "user.created", data: start(more) });
const patched = (profile: Profile): UserEvent => ({ type: "user.patched", data: { profile } });
const added = (username: Username): UserEvent => ({ type: "user.username_added", data: { username } });
const removed = (usernameId: string): UserEvent => ({ type: "user.username_removed", data: { usernameId } });
const FRAUD = { cause: "manual", reason: "fraud", note: "stolen phone", since: NOW } as const;
const LOCKED: UserEvent = { type: "user.locked", data: FRAUD };
const UNLOCKED: UserEvent = { type: "user.unlocked", data: { cause: "manual" } };
const ACTIVATED: UserEvent = { type: "user.activated", data: {} };
const DEACTIVATED: UserEvent = { type: "user.deactivated", data: {} };
const DELETED: UserEvent = { type: "user.deleted", data: {} };

const LOCK: UserCommand = { type: "lock", reason: "fraud", note: "stolen phone" };
const UNLOCK: UserCommand = { type: "unlock" };
const ACTIVATE: UserCommand = { type: "activate" };
const DEACTIVATE: UserCommand = { type: "deactivate" };
const DELETE: UserCommand = { type: "delete" };

const TWENTY = Array.from({ length: MAX_USERNAMES }, (_, index) => name(`name ${index}`));

function fold(events: UserEvent[], occasion = by("operator")): User | undefined {
  let state: User | undefined;
  for (const event of events) state = user.evolve(state, event, occasion);
  return state;
}

/** Given these events, a command by this subject gives these events or this reason. */
const DECISIONS: {
  name: string;
  given: UserEvent[];
  as?: string;
  when: UserCommand;
  expected: UserEvent[] | string;
}[] = [
  { name: "a new user is created", given: [], when: create(), expected: [created()] },
  {
    name: "the id of an existing user is refused",
    given: [created()],
    when: create(),
    expected: "USER_ALREADY_EXISTS",
  },
  {
    name: "the id of a deleted user is refused",
    given: [created(), DELETED],
    when: create(),
    expected: "USER_ALREADY_EXISTS",
  },
  {
    name: "a user is created with a profile and names",
    given: [],
    when: create({ owner: org("a"), profile: { schemaType: "human" }, usernames: [name("ann"), nameInOrg("ann")] }),
    expected: [
      created({ owner: org("a"), profile: { schemaType: "human" }, usernames: [name("ann"), nameInOrg("ann")] }),
    ],
  },
  {
    name: "a user is created with twenty names",
    given: [],
    when: create({ usernames: TWENTY }),
    expected: [created({ usernames: TWENTY })],
  },
  {
    name: "a user with twenty-one names is refused",
    given: [],
    when: create({ usernames: [...TWENTY, name("one more")] }),
    expected: "TOO_MANY_USERNAMES",
  },
  {
    name: "a user with the same name twice is refused",
    given: [],
    when: create({ usernames: [name("Ann", "1"), name("ann", "2")] }),
    expected: "USERNAME_TAKEN",
  },
  {
    name: "an organization's name is refused for a new user without an organization",
    given: [],
    when: create({ usernames: [nameInOrg("ann")] }),
    expected: "INVALID_REQUEST",
  },

  { name: "an active user is locked", given: [created()], when: LOCK, expected: [LOCKED] },
  { name: "an inactive user is locked", given: [created(), DEACTIVATED], when: LOCK, expected: [LOCKED] },
  {
    name: "a lock of a locked user is refused",
    given: [created(), LOCKED],
    when: LOCK,
    expected: "USER_ALREADY_LOCKED",
  },
  {
    name: "a lock of a locked and inactive user is refused",
    given: [created(), LOCKED, DEACTIVATED],
    when: LOCK,
    expected: "USER_ALREADY_LOCKED",
  },
  {
    name: "a lock by hand is replaced on demand, also by an earlier end",
    given: [created(), LOCKED],
    when: { ...LOCK, reason: "support", isReplacing: true, duration: 60_000_000 },
    expected: [{ type: "user.locked", data: { ...FRAUD, reason: "support", until: FRAUD.since + 60_000_000 } }],
  },
  { name: "an unlocked user is locked again", given: [created(), LOCKED, UNLOCKED], when: LOCK, expected: [LOCKED] },
  { name: "users cannot lock themselves", given: [created()], as: "u1", when: LOCK, expected: "SELF_LOCK" },
  {
    name: "locked users cannot lock themselves either",
    given: [created(), LOCKED],
    as: "u1",
    when: LOCK,
    expected: "SELF_LOCK",
  },
  { name: "a lock of an unknown user is refused", given: [], when: LOCK, expected: "USER_NOT_FOUND" },
  {
    name: "a lock by the deleted user is refused as for an unknown user",
    given: [created(), DELETED],
    as: "u1",
    when: LOCK,
    expected: "USER_NOT_FOUND",
  },

  { name: "a locked user is unlocked", given: [created(), LOCKED], when: UNLOCK, expected: [UNLOCKED] },
  {
    name: "an inactive locked user is unlocked",
    given: [created(), LOCKED, DEACTIVATED],
    when: UNLOCK,
    expected: [UNLOCKED],
  },
  { name: "an unlock of an unlocked user is refused", given: [created()], when: UNLOCK, expected: "USER_NOT_LOCKED" },
  {
    name: "a second unlock is refused",
    given: [created(), LOCKED, UNLOCKED],
    when: UNLOCK,
    expected: "USER_NOT_LOCKED",
  },
  {
    name: "an unlock of a user who is only inactive is refused",
    given: [created(), DEACTIVATED],
    when: UNLOCK,
    expected: "USER_NOT_LOCKED",
  },

  { name: "an active user is deactivated", given: [created()], when: DEACTIVATE, expected: [DEACTIVATED] },
  { name: "a locked user is deactivated", given: [created(), LOCKED], when: DEACTIVATE, expected: [DEACTIVATED] },
  {
    name: "a deactivation of an inactive user is refused",
    given: [created(), DEACTIVATED],
    when: DEACTIVATE,
    expected: "USER_ALREADY_INACTIVE",
  },
  { name: "an inactive user is activated", given: [created(), DEACTIVATED], when: ACTIVATE, expected: [ACTIVATED] },
  {
    name: "a locked inactive user is activated",
    given: [created(), DEACTIVATED, LOCKED],
    when: ACTIVATE,
    expected: [ACTIVATED],
  },
  {
    name: "an activation of an active user is refused",
    given: [created()],
    when: ACTIVATE,
    expected: "USER_NOT_INACTIVE",
  },
  {
    name: "an activation of a user who is only locked is refused",
    given: [created(), LOCKED],
    when: ACTIVATE,
    expected: "USER_NOT_INACTIVE",
  },

  { name: "an active user is deleted", given: [created()], when: DELETE, expected: [DELETED] },
  {
    name: "an inactive locked user is deleted",
    given: [created(), DEACTIVATED, LOCKED],
    when: DELETE,
    expected: [DELETED],
  },

  {
    name: "a patch records only changed fields",
    given: [created({ profile: { schemaType: "human", schemaId: "1" } })],
    when: { type: "patch", profile: { schemaType: "robot", schemaId: "1" } },
    expected: [patched({ schemaType: "robot" })],
  },
  {
    name: "a patch records new fields",
    given: [created()],
    when: { type: "patch", profile: { email: { address: "ann@example.com", verified: false } } },
    expected: [patched({ email: { address: "ann@example.com", verified: false } })],
  },
  {
    name: "a patch records that an address is now verified",
    given: [created({ profile: { email: { address: "ann@example.com", verified: false } } })],
    when: { type: "patch", profile: { email: { address: "ann@example.com", verified: true } } },
    expected: [patched({ email: { address: "ann@example.com", verified: true } })],
  },
  {
    name: "a patch without changes gives no event",
    given: [created({ profile: { data: { shoe: { size: 43 } } } })],
    when: { type: "patch", profile: { data: { shoe: { size: 43 } } } },
    expected: [],
  },
  { name: "an empty patch gives no event", given: [created()], when: { type: "patch", profile: {} }, expected: [] },

  {
    name: "a name is added to a user",
    given: [created()],
    when: { type: "add_username", username: name("ann") },
    expected: [added(name("ann"))],
  },
  {
    name: "an organization's name is added beside the same name of the instance",
    given: [created({ owner: org("a"), usernames: [name("ann")] })],
    when: { type: "add_username", username: nameInOrg("ann") },
    expected: [added(nameInOrg("ann"))],
  },
  {
    name: "an organization's name is refused for a user without an organization",
    given: [created()],
    when: { type: "add_username", username: nameInOrg("ann") },
    expected: "INVALID_REQUEST",
  },
  {
    name: "a name that the user already has is refused",
    given: [created({ usernames: [name("ann")] })],
    when: { type: "add_username", username: name("ANN", "another id") },
    expected: "USERNAME_TAKEN",
  },
  {
    name: "a twenty-first name is refused",
    given: [created({ usernames: TWENTY })],
    when: { type: "add_username", username: name("one more") },
    expected: "TOO_MANY_USERNAMES",
  },
  {
    name: "a name is removed by its id",
    given: [created({ usernames: [name("ann")] })],
    when: { type: "remove_username", usernameId: "id of ann" },
    expected: [removed("id of ann")],
  },
  {
    name: "the removal of an unknown name is refused",
    given: [created({ usernames: [name("ann")] })],
    when: { type: "remove_username", usernameId: "ann" },
    expected: "USERNAME_NOT_FOUND",
  },
  {
    name: "a second removal of a name is refused",
    given: [created({ usernames: [name("ann")] }), removed("id of ann")],
    when: { type: "remove_username", usernameId: "id of ann" },
    expected: "USERNAME_NOT_FOUND",
  },
];

describe("a decision on a user", () => {
  test.each(DECISIONS)("follows the rules: $name", ({ given, as = "operator", when, expected }) => {
    const decide = () => user.decide(fold(given), when, by(as));
    if (typeof expected === "string") expect(decide).toThrow(expect.objectContaining({ reason: expected }));
    else expect(decide()).toEqual(expected);
  });

  const EVERY_CHANGE: UserCommand[] = [
    LOCK,
    UNLOCK,
    ACTIVATE,
    DEACTIVATE,
    DELETE,
    { type: "patch", profile: { schemaType: "robot" } },
    { type: "add_username", username: name("ann") },
    { type: "remove_username", usernameId: "id of ann" },
  ];

  test.each(EVERY_CHANGE)("fails with USER_NOT_FOUND when $type names an unknown or deleted user", (when) => {
    const notFound = expect.objectContaining({ reason: "USER_NOT_FOUND" });
    expect(() => user.decide(undefined, when, by("operator"))).toThrow(notFound);
    const given = [created({ usernames: [name("ann")] }), DEACTIVATED, LOCKED, DELETED];
    expect(() => user.decide(fold(given), when, by("operator"))).toThrow(notFound);
  });

  test.each([
    ["USER_ALREADY_LOCKED", LOCK, [created(), LOCKED]],
    ["USER_NOT_LOCKED", UNLOCK, [created()]],
    ["USER_ALREADY_EXISTS", create(), [created()]],
  ] as [string, UserCommand, UserEvent[]][])("names the user in the error %s", (reason, when, given) => {
    expect(() => user.decide(fold(given), when, by("operator"))).toThrow(
      expect.objectContaining({ reason, metadata: { user_id: "u1" } }),
    );
  });
});

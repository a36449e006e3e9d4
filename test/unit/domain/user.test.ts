// Proves that commands about a user give the right events, or the right refusal.
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

/** What happened before, who commands what, and the events or the reason of the refusal that come of it. */
const DECISIONS: {
  name: string;
  given: UserEvent[];
  as?: string;
  when: UserCommand;
  expected: UserEvent[] | string;
}[] = [
  { name: "a new user is created", given: [], when: create(), expected: [created()] },
  { name: "an id is used once", given: [created()], when: create(), expected: "USER_ALREADY_EXISTS" },
  {
    name: "the id of a deleted user stays used",
    given: [created(), DELETED],
    when: create(),
    expected: "USER_ALREADY_EXISTS",
  },
  {
    name: "with a profile and names",
    given: [],
    when: create({ owner: org("a"), profile: { schemaType: "human" }, usernames: [name("ann"), nameInOrg("ann")] }),
    expected: [
      created({ owner: org("a"), profile: { schemaType: "human" }, usernames: [name("ann"), nameInOrg("ann")] }),
    ],
  },
  {
    name: "with twenty names",
    given: [],
    when: create({ usernames: TWENTY }),
    expected: [created({ usernames: TWENTY })],
  },
  {
    name: "not with twenty-one",
    given: [],
    when: create({ usernames: [...TWENTY, name("one more")] }),
    expected: "TOO_MANY_USERNAMES",
  },
  {
    name: "not with the same name twice",
    given: [],
    when: create({ usernames: [name("Ann", "1"), name("ann", "2")] }),
    expected: "USERNAME_TAKEN",
  },
  {
    name: "not with a name in an organization where he is in none",
    given: [],
    when: create({ usernames: [nameInOrg("ann")] }),
    expected: "INVALID_REQUEST",
  },

  { name: "an active user is locked", given: [created()], when: LOCK, expected: [LOCKED] },
  { name: "an inactive one too", given: [created(), DEACTIVATED], when: LOCK, expected: [LOCKED] },
  { name: "a locked one is not", given: [created(), LOCKED], when: LOCK, expected: "USER_ALREADY_LOCKED" },
  {
    name: "nor if he was deactivated since",
    given: [created(), LOCKED, DEACTIVATED],
    when: LOCK,
    expected: "USER_ALREADY_LOCKED",
  },
  { name: "an unlocked one is locked again", given: [created(), LOCKED, UNLOCKED], when: LOCK, expected: [LOCKED] },
  { name: "nobody locks himself", given: [created()], as: "u1", when: LOCK, expected: "SELF_LOCK" },
  { name: "not where he is locked either", given: [created(), LOCKED], as: "u1", when: LOCK, expected: "SELF_LOCK" },
  { name: "nobody is there to be locked", given: [], when: LOCK, expected: "USER_NOT_FOUND" },
  {
    name: "not even by himself once he is deleted",
    given: [created(), DELETED],
    as: "u1",
    when: LOCK,
    expected: "USER_NOT_FOUND",
  },

  { name: "a locked user is unlocked", given: [created(), LOCKED], when: UNLOCK, expected: [UNLOCKED] },
  {
    name: "an inactive one too",
    given: [created(), LOCKED, DEACTIVATED],
    when: UNLOCK,
    expected: [UNLOCKED],
  },
  { name: "an unlocked one is not", given: [created()], when: UNLOCK, expected: "USER_NOT_LOCKED" },
  { name: "nor again", given: [created(), LOCKED, UNLOCKED], when: UNLOCK, expected: "USER_NOT_LOCKED" },
  { name: "nor one who is only inactive", given: [created(), DEACTIVATED], when: UNLOCK, expected: "USER_NOT_LOCKED" },

  { name: "an active user is deactivated", given: [created()], when: DEACTIVATE, expected: [DEACTIVATED] },
  { name: "a locked one too", given: [created(), LOCKED], when: DEACTIVATE, expected: [DEACTIVATED] },
  {
    name: "an inactive one is not",
    given: [created(), DEACTIVATED],
    when: DEACTIVATE,
    expected: "USER_ALREADY_INACTIVE",
  },
  { name: "an inactive user is activated", given: [created(), DEACTIVATED], when: ACTIVATE, expected: [ACTIVATED] },
  {
    name: "a locked one too",
    given: [created(), DEACTIVATED, LOCKED],
    when: ACTIVATE,
    expected: [ACTIVATED],
  },
  { name: "an active one is not", given: [created()], when: ACTIVATE, expected: "USER_NOT_INACTIVE" },
  { name: "nor one who is only locked", given: [created(), LOCKED], when: ACTIVATE, expected: "USER_NOT_INACTIVE" },

  { name: "an active user is deleted", given: [created()], when: DELETE, expected: [DELETED] },
  {
    name: "an inactive and locked one too",
    given: [created(), DEACTIVATED, LOCKED],
    when: DELETE,
    expected: [DELETED],
  },

  {
    name: "what differs is patched",
    given: [created({ profile: { schemaType: "human", schemaId: "1" } })],
    when: { type: "patch", profile: { schemaType: "robot", schemaId: "1" } },
    expected: [patched({ schemaType: "robot" })],
  },
  {
    name: "what is new is patched",
    given: [created()],
    when: { type: "patch", profile: { email: { address: "ann@example.com", verified: false } } },
    expected: [patched({ email: { address: "ann@example.com", verified: false } })],
  },
  {
    name: "a verified address differs from the same one that is not",
    given: [created({ profile: { email: { address: "ann@example.com", verified: false } } })],
    when: { type: "patch", profile: { email: { address: "ann@example.com", verified: true } } },
    expected: [patched({ email: { address: "ann@example.com", verified: true } })],
  },
  {
    name: "a patch with nothing new leaves no event",
    given: [created({ profile: { data: { shoe: { size: 43 } } } })],
    when: { type: "patch", profile: { data: { shoe: { size: 43 } } } },
    expected: [],
  },
  { name: "nor does an empty one", given: [created()], when: { type: "patch", profile: {} }, expected: [] },

  {
    name: "a name is added",
    given: [created()],
    when: { type: "add_username", username: name("ann") },
    expected: [added(name("ann"))],
  },
  {
    name: "a name in his organization too, beside the same one in the instance",
    given: [created({ owner: org("a"), usernames: [name("ann")] })],
    when: { type: "add_username", username: nameInOrg("ann") },
    expected: [added(nameInOrg("ann"))],
  },
  {
    name: "not in an organization where he is in none",
    given: [created()],
    when: { type: "add_username", username: nameInOrg("ann") },
    expected: "INVALID_REQUEST",
  },
  {
    name: "not a name that he has",
    given: [created({ usernames: [name("ann")] })],
    when: { type: "add_username", username: name("ANN", "another id") },
    expected: "USERNAME_TAKEN",
  },
  {
    name: "not a twenty-first",
    given: [created({ usernames: TWENTY })],
    when: { type: "add_username", username: name("one more") },
    expected: "TOO_MANY_USERNAMES",
  },
  {
    name: "a name is removed",
    given: [created({ usernames: [name("ann")] })],
    when: { type: "remove_username", usernameId: "id of ann" },
    expected: [removed("id of ann")],
  },
  {
    name: "one that he has not is not",
    given: [created({ usernames: [name("ann")] })],
    when: { type: "remove_username", usernameId: "ann" },
    expected: "USERNAME_NOT_FOUND",
  },
  {
    name: "and once only",
    given: [created({ usernames: [name("ann")] }), removed("id of ann")],
    when: { type: "remove_username", usernameId: "id of ann" },
    expected: "USERNAME_NOT_FOUND",
  },
];

describe("decide", () => {
  test.each(DECISIONS)("$name", ({ given, as = "operator", when, expected }) => {
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

  test.each(EVERY_CHANGE)("$type needs a user who is there", (when) => {
    const notFound = expect.objectContaining({ reason: "USER_NOT_FOUND" });
    expect(() => user.decide(undefined, when, by("operator"))).toThrow(notFound);
    const given = [created({ usernames: [name("ann")] }), DEACTIVATED, LOCKED, DELETED];
    expect(() => user.decide(fold(given), when, by("operator"))).toThrow(notFound);
  });

  test.each([
    ["USER_ALREADY_LOCKED", LOCK, [created(), LOCKED]],
    ["USER_NOT_LOCKED", UNLOCK, [created()]],
    ["USER_ALREADY_EXISTS", create(), [created()]],
  ] as [string, UserCommand, UserEvent[]][])("%s says which user", (reason, when, given) => {
    expect(() => user.decide(fold(given), when, by("operator"))).toThrow(
      expect.objectContaining({ reason, metadata: { user_id: "u1" } }),
    );
  });
});

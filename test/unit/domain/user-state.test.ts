// Proves that the state of a user is the fold of its events.
import fc from "fast-check";
import type { Owner } from "../../../src/domain/access.ts";
import type { Occasion } from "../../../src/domain/aggregate.ts";
import { DomainError } from "../../../src/domain/errors.ts";
import { type UserCommand, user } from "../../../src/domain/user.ts";
import { mayAct, type Profile, type User, type UserEvent, type Username } from "../../../src/domain/user-state.ts";

const NOW = 1_764_000_000_000_000;
const INSTANCE: Owner = { type: "instance", id: "default" };
const org = (id: string): Owner => ({ type: "org", id });
const OPERATOR: Occasion = { time: NOW, actor: { subject: "operator" } };

const name = (text: string, id = `id of ${text}`): Username => ({ id, name: text, organizationSpecific: false });
const nameInOrg = (text: string): Username => ({ ...name(text), organizationSpecific: true });

type Start = { owner?: Owner; profile?: Profile; usernames?: Username[] };
const created = ({ owner = INSTANCE, profile = {}, usernames = [] }: Start = {}): UserEvent => ({
  type: "user.created",
  data: { id: "u1", owner, profile, usernames },
});
const patched = (profile: Profile): UserEvent => ({ type: "user.patched", data: { profile } });
const added = (username: Username): UserEvent => ({ type: "user.username_added", data: { username } });
const removed = (usernameId: string): UserEvent => ({ type: "user.username_removed", data: { usernameId } });
const FRAUD = { cause: "manual", reason: "fraud", note: "stolen phone", since: NOW } as const;
const LOCKED: UserEvent = { type: "user.locked", data: FRAUD };
const UNLOCKED: UserEvent = { type: "user.unlocked", data: { cause: "manual" } };
const ACTIVATED: UserEvent = { type: "user.activated", data: {} };
const DEACTIVATED: UserEvent = { type: "user.deactivated", data: {} };
const DELETED: UserEvent = { type: "user.deleted", data: {} };

function fold(events: UserEvent[], state?: User): User | undefined {
  let next = state;
  for (const event of events) next = user.evolve(next, event, OPERATOR);
  return next;
}

const ANN = { owner: org("a"), profile: { schemaType: "human" }, usernames: [name("ann"), nameInOrg("a.")] };
const ACTIVE: User = {
  id: "u1",
  owner: org("a"),
  lifecycle: "active",
  schemaType: "human",
  usernames: [name("ann"), nameInOrg("a.")],
};
const FOLDED_LOCK = { ...FRAUD, by: "operator" };

const FOLDS: { name: string; given: UserEvent[]; expected: User }[] = [
  { name: "a created user is active", given: [created(ANN)], expected: ACTIVE },
  {
    name: "a locked user has the lock's cause, reason, note, author and time",
    given: [created(ANN), LOCKED],
    expected: { ...ACTIVE, lock: FOLDED_LOCK, epoch: 1 },
  },
  {
    name: "an unlocked user keeps only the epoch of the lock, which ended the sessions",
    given: [created(ANN), LOCKED, UNLOCKED],
    expected: { ...ACTIVE, epoch: 1 },
  },
  {
    name: "a deactivated user is inactive",
    given: [created(ANN), DEACTIVATED],
    expected: { ...ACTIVE, lifecycle: "inactive", epoch: 1 },
  },
  {
    name: "an activated user is active",
    given: [created(ANN), DEACTIVATED, ACTIVATED],
    expected: { ...ACTIVE, epoch: 1 },
  },
  {
    name: "a user who was deactivated, locked and unlocked is inactive",
    given: [created(ANN), DEACTIVATED, LOCKED, UNLOCKED],
    expected: { ...ACTIVE, lifecycle: "inactive", epoch: 2 },
  },
  {
    name: "a user who was locked, deactivated and activated is still locked",
    given: [created(ANN), LOCKED, DEACTIVATED, ACTIVATED],
    expected: { ...ACTIVE, lock: FOLDED_LOCK, epoch: 2 },
  },
  {
    name: "a patched user keeps the fields that the patch does not name",
    given: [created(ANN), LOCKED, patched({ schemaId: "7" })],
    expected: { ...ACTIVE, schemaId: "7", lock: FOLDED_LOCK, epoch: 1 },
  },
  {
    name: "names are added at the end and removed by id",
    given: [created(ANN), added(name("ann2")), removed("id of ann")],
    expected: { ...ACTIVE, usernames: [nameInOrg("a."), name("ann2")] },
  },
  {
    name: "a deleted user keeps no personal data",
    given: [
      created({ ...ANN, profile: { data: { a: 1 }, email: { address: "ann@example.com", verified: true } } }),
      LOCKED,
      DELETED,
    ],
    expected: { id: "u1", owner: org("a"), lifecycle: "deleted", usernames: [], epoch: 2 },
  },
];

describe("the state of a user", () => {
  test.each(FOLDS)("is the fold of the events: $name", ({ given, expected }) => {
    expect(fold(given)).toEqual(expected);
  });

  test("keeps its owner, and only a deleted user is gone", () => {
    expect(user.owner(fold([created(ANN), LOCKED, DELETED]) as User)).toEqual(org("a"));
    expect(user.isGone(fold([created(ANN), LOCKED, DEACTIVATED]) as User)).toBe(false);
    expect(user.isGone(fold([created(ANN), DELETED]) as User)).toBe(true);
  });
});

/** The claims of a user with one name. An organization's name has no claim on the instance. */
function claimsOf(text: string, { owner = org("a"), inOrg = false }: { owner?: Owner; inOrg?: boolean } = {}) {
  return user.claims(fold([created({ owner, usernames: [inOrg ? nameInOrg(text) : name(text)] })]) as User);
}

/** The first claim of a user with one name: on the instance, except for an organization's name. */
const claimOf = (...of: Parameters<typeof claimsOf>) => claimsOf(...of)[0] as string;

describe("claims on names", () => {
  test("last until the name is removed or the user is deleted", () => {
    const ann = created({ owner: org("a"), usernames: [name("ann"), nameInOrg("a.")] });
    const both = [...claimsOf("ann"), ...claimsOf("a.", { inOrg: true })];
    expect(user.claims(fold([ann]) as User)).toEqual(both);
    expect(user.claims(fold([ann, LOCKED, DEACTIVATED]) as User)).toEqual([...both, "denied:u1"]);
    expect(user.claims(fold([ann, removed("id of ann")]) as User)).toEqual(claimsOf("a.", { inOrg: true }));
    expect(user.claims(fold([ann, added(name("bob"))]) as User)).toEqual([...both, ...claimsOf("bob")]);
    expect(user.claims(fold([ann, DELETED]) as User)).toEqual(["denied:u1"]);
  });

  test("for a name of the instance include one on the user's organization", () => {
    expect(claimsOf("ann")).toHaveLength(2);
    expect(claimsOf("ann")[1]).toBe(claimOf("ann", { inOrg: true }));
    expect(claimsOf("ann", { inOrg: true })).toHaveLength(1);
    expect(claimsOf("ann", { owner: INSTANCE })).toEqual([claimOf("ann")]);
    expect(claimsOf("ann", { owner: { type: "system", id: "default" } })).toEqual([claimOf("ann")]);
  });

  test("for the same name in the instance and the organization last until both are removed", () => {
    const ann = created({ owner: org("a"), usernames: [name("ann"), nameInOrg("Ann")] });
    expect(user.claims(fold([ann]) as User)).toEqual(claimsOf("ann"));
    expect(user.claims(fold([ann, removed("id of ann")]) as User)).toEqual(claimsOf("ann", { inOrg: true }));
    expect(user.claims(fold([ann, removed("id of Ann")]) as User)).toEqual(claimsOf("ann"));
    expect(user.claims(fold([ann, removed("id of ann"), removed("id of Ann")]) as User)).toEqual([]);
  });

  test("are equal for names that fold to the same text", () => {
    for (const inOrg of [false, true]) expect(claimsOf("ΟΔΟΣ", { inOrg })).toEqual(claimsOf("οδος", { inOrg }));
  });

  test.each([
    ["anne", "änne"],
    ["ann", "ann "],
    ["a.nn", "ann"],
    ["a:nn", "ann"],
  ])("differ for %p and %p", (one, other) => {
    expect(claimOf(one)).not.toBe(claimOf(other));
  });

  test("for an organization's name apply to that organization only", () => {
    const inA = claimOf("ann", { owner: org("a"), inOrg: true });
    expect(claimOf("ann", { owner: org("b"), inOrg: true })).not.toBe(inA);
    expect(claimOf("ann", { owner: org("a") })).not.toBe(inA);
  });

  test("for a name of the instance apply to all its organizations", () => {
    expect(claimOf("ann", { owner: org("a") })).toBe(claimOf("ann", { owner: org("b") }));
    expect(claimOf("ann", { owner: org("a") })).toBe(claimOf("ann", { owner: INSTANCE }));
  });

  test("differ for any two pairs of organization and name, whatever characters they contain", () => {
    const texts = ["", "a", ":", "@", "%"].flatMap((one) =>
      ["a", ":", '"'].flatMap((other) => [one + other, other + one]),
    );
    const pairs = [...new Set(texts)].flatMap((id, _, all) => all.map((text) => [id, text] as const));
    const claims = pairs.map(([id, text]) => claimOf(text, { owner: org(id), inOrg: true }));
    expect(new Set(claims).size).toBe(pairs.length);
    for (const [, text] of pairs) expect(claims).not.toContain(claimOf(text));
  });
});

const EVENTS: UserEvent[] = [
  created({ owner: org("a"), usernames: [name("ann")] }),
  patched({ schemaType: "robot" }),
  LOCKED,
  UNLOCKED,
  ACTIVATED,
  DEACTIVATED,
  DELETED,
  added(name("bob")),
  removed("id of ann"),
  { type: "user.of_a_newer_version", data: {} } as unknown as UserEvent,
];

describe("a user's two axes", () => {
  type Axes = { lifecycle: "none" | "active" | "inactive" | "deleted"; lock: "locked" | "unlocked" };

  /** Each command moves one axis from its allowed values to a new one, and ignores the other axis. */
  const MOVES: Record<string, { [Axis in keyof Axes]?: [from: Axes[Axis][], to: Axes[Axis]] }> = {
    create: { lifecycle: [["none"], "active"] },
    deactivate: { lifecycle: [["active"], "inactive"] },
    activate: { lifecycle: [["inactive"], "active"] },
    delete: { lifecycle: [["active", "inactive"], "deleted"] },
    lock: { lock: [["unlocked"], "locked"] },
    unlock: { lock: [["locked"], "unlocked"] },
  };

  const COMMANDS: Record<string, UserCommand> = {
    create: { type: "create", id: "u1", owner: INSTANCE, profile: {}, usernames: [] },
    deactivate: { type: "deactivate" },
    activate: { type: "activate" },
    delete: { type: "delete" },
    lock: { type: "lock", reason: "fraud", note: "" },
    unlock: { type: "unlock" },
  };

  /** The model's answer to a command: the new axes, or undefined if the command is refused. */
  function move(axes: Axes, command: string): Axes | undefined {
    const isThere = axes.lifecycle === "active" || axes.lifecycle === "inactive";
    if (!isThere && command !== "create") return undefined;
    const { lifecycle, lock } = MOVES[command] as (typeof MOVES)[string];
    if (lifecycle?.[0].includes(axes.lifecycle)) return { ...axes, lifecycle: lifecycle[1] };
    if (lock?.[0].includes(axes.lock)) return { ...axes, lock: lock[1] };
    return undefined;
  }

  function axesOf(state: User | undefined): Axes {
    return { lifecycle: state?.lifecycle ?? "none", lock: state?.lock ? "locked" : "unlocked" };
  }

  // Deletion is rare, because no command succeeds after it.
  const command = fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...Object.keys(COMMANDS).filter((name) => name !== "delete")) },
    { weight: 1, arbitrary: fc.constant("delete") },
  );

  test("move as in the model for any sequence of commands", () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 40 }), (names) => {
        let state: User | undefined;
        let model: Axes = { lifecycle: "none", lock: "unlocked" };
        for (const name of names) {
          const expected = move(model, name);
          let events: UserEvent[] | undefined;
          try {
            events = user.decide(state, COMMANDS[name] as UserCommand, OPERATOR);
          } catch (error) {
            expect(error).toBeInstanceOf(DomainError);
          }
          expect(events?.length).toBe(expected && 1);
          state = fold(events ?? [], state);
          // A deleted user has no lock.
          model = expected?.lifecycle === "deleted" ? { lifecycle: "deleted", lock: "unlocked" } : (expected ?? model);
          expect(axesOf(state)).toEqual(model);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test("give a state for any order of events, without changing the previous state", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...EVENTS), { minLength: 1, maxLength: 20 }), (events) => {
        let state: User | undefined;
        for (const event of events) {
          const before = JSON.stringify(state);
          const next = user.evolve(state, event, OPERATOR);
          expect(JSON.stringify(state)).toBe(before);
          expect(next.owner).toBeDefined();
          const [denials, names] = [true, false].map((isDenial) =>
            user.claims(next).filter((claim) => claim.startsWith("denied:") === isDenial),
          );
          expect(names!.length > 0).toBe(next.usernames.length > 0);
          expect(denials).toEqual(mayAct(next, 0) ? [] : [`denied:${next.id}`]);
          state = next;
        }
      }),
    );
  });

  test("never give access to a user whose creation event is missing", () => {
    for (const event of EVENTS.slice(1)) expect(fold([event])?.owner.type).toBe("system");
  });

  test("ignore an event of a newer version", () => {
    const before = fold([created(), LOCKED]);
    expect(fold(EVENTS.slice(-1), before)).toEqual(before);
  });
});

describe("a logged event", () => {
  const SECRET = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA";
  const withPassword = { ...ANN, id: "u1", password: { hash: SECRET, changeRequired: true } };

  /** An event with a password hash, and its logged form. */
  const WITHOUT_HASHES: { event: UserEvent; kept: object }[] = [
    {
      event: { type: "user.created", data: withPassword },
      kept: { ...withPassword, password: { hash: "", changeRequired: true } },
    },
    {
      event: { type: "user.password_changed", data: { hash: SECRET, changeRequired: true, keeps: { session: "s1" } } },
      kept: { hash: "", changeRequired: true, keeps: { session: "s1" } },
    },
    { event: { type: "user.password_rehashed", data: { hash: SECRET } }, kept: { hash: "" } },
    {
      event: { type: "user.login_failed", data: { device: "phone", mac: SECRET, window: 900, at: NOW } },
      kept: { device: "phone", mac: "", window: 900, at: NOW },
    },
  ];

  test.each(WITHOUT_HASHES)("of type $event.type contains no hash", ({ event, kept }) => {
    const before = JSON.stringify(event);
    expect(user.logged?.(event, ACTIVE, OPERATOR)).toEqual({ type: event.type, data: kept });
    expect(JSON.stringify(event)).toBe(before);
  });

  test.each([LOCKED, DEACTIVATED, DELETED])(
    "of type $type names what denies the user, and folds like the event",
    (event) => {
      const before = user.evolve(undefined, created(ANN), OPERATOR);
      const after = user.evolve(before, event, OPERATOR);
      const recorded = user.logged?.(event, after, OPERATOR) as UserEvent;
      expect(recorded.data).toMatchObject({ denied: { cause: expect.stringMatching(/^(locked|inactive|deleted)$/) } });
      expect(user.evolve(before, recorded, OPERATOR)).toEqual(after);
    },
  );

  const WITHOUT_SECRETS: UserEvent[] = [
    ...EVENTS,
    { type: "user.login_succeeded", data: { device: "phone" } },
    { type: "user.login_succeeded", data: { device: "", newDevice: "laptop" } },
    { type: "user.lock_probed", data: { isRight: false } },
    { type: "user.sessions_ended", data: {} },
  ];

  test.each(WITHOUT_SECRETS)("of type $type equals the event", (event) => {
    expect(user.logged?.(event, ACTIVE, OPERATOR)).toEqual(event);
  });
});

// Proves that an instance always keeps an owner who can act.
import { createOwners, tokenOf } from "../../../src/app/last-owner.ts";
import type { Grant } from "../../../src/domain/access.ts";
import { accessToken } from "../../../src/domain/token.ts";
import { type UserCommand, user } from "../../../src/domain/user.ts";
import type { EventStore } from "../../../src/store/port.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { callerOf, handClock, INSTANCE, usersIn } from "../../support/servers/app.ts";
import { temporaryFolder } from "../../support/servers/server-process.ts";
import { timeAt } from "../../support/user-story.ts";

let clock: ReturnType<typeof handClock>;
let stores: EventStore[];

beforeEach(() => {
  clock = handClock(timeAt(0));
  stores = [];
});

afterEach(async () => {
  for (const store of stores) await store.close();
});

async function open(file = ":memory:") {
  const store = await openSqliteStore(file, "default");
  stores.push(store);
  return store;
}

/** Users, their tokens, and changes of users that require another owner. */
function ownersIn(store: EventStore) {
  const users = usersIn(store, clock);
  const { otherOwner, otherOwnerToken } = createOwners({ store, clock });
  let tokens = 0;
  return {
    ...users,
    otherOwner,
    async give(subject: string, grants: Grant[], more: { expires?: number } = {}): Promise<string> {
      const id = `token ${tokens++} of ${subject}`;
      const token = { id, owner: INSTANCE, subject, grants, hash: id, ...more };
      await users.execute(
        accessToken,
        { id, command: { type: "create", token }, permission: "access.write", newOwner: INSTANCE },
        callerOf("operator"),
      );
      return id;
    },
    revoke: (id: string) =>
      users.execute(accessToken, { id, command: { type: "revoke" }, permission: "access.write" }, callerOf("operator")),
    /** The outcome of a revocation that requires another owner: "done" or the reason. */
    revokeByCall: (id: string) =>
      users
        .execute(
          accessToken,
          { id, command: { type: "revoke" }, permission: "access.write", guard: { check: () => otherOwnerToken(id) } },
          callerOf("operator"),
        )
        .then(
          () => "done",
          (error) => error.reason as string,
        ),
    /** The outcome of the change: "done" or the reason of the refusal. */
    change: (id: string, command: UserCommand, by = "operator") =>
      users
        .execute(
          user,
          { id, command, permission: "user.write", guard: { unless: tokenOf(id), check: () => otherOwner(id) } },
          callerOf(by),
        )
        .then(
          () => "done",
          (error) => error.reason as string,
        ),
  };
}
type Owners = ReturnType<typeof ownersIn>;

const OWNER: Grant = { role: "INSTANCE_OWNER" };
const LOCK: UserCommand = { type: "lock", reason: "fraud", note: "" };
const DEACTIVATE: UserCommand = { type: "deactivate" };
const DELETE: UserCommand = { type: "delete" };
const LAST = "LAST_OWNER";
const DONE = "done";

/** Ann and Bob are users. Each row has the setup and the outcome of locking Ann. */
const LOCKS: [name: string, given: (owners: Owners) => Promise<unknown>, outcome: string][] = [
  ["who has no token", async () => {}, DONE],
  ["who has another role", ({ give }) => give("ann", [{ role: "INSTANCE_VIEWER" }]), DONE],
  ["who owns an organization", ({ give }) => give("ann", [{ role: "ORG_OWNER", organization: "a" }]), DONE],
  ["who is the only owner", ({ give }) => give("ann", [OWNER]), LAST],
  ["who is the only owner, among other roles", ({ give }) => give("ann", [{ role: "INSTANCE_VIEWER" }, OWNER]), LAST],
  [
    "when there is another owner",
    async ({ give }) => {
      await give("ann", [OWNER]);
      await give("bob", [OWNER]);
    },
    DONE,
  ],
  [
    "when the other user has another role",
    async ({ give }) => {
      await give("ann", [OWNER]);
      await give("bob", [{ role: "INSTANCE_VIEWER" }]);
    },
    LAST,
  ],
  [
    "who has two tokens when nobody else has one",
    async ({ give }) => {
      await give("ann", [OWNER]);
      await give("ann", [OWNER]);
    },
    LAST,
  ],
  [
    "whose tokens are revoked or expired",
    async ({ give, revoke }) => {
      await revoke(await give("ann", [OWNER]));
      await give("ann", [OWNER], { expires: timeAt(10) });
    },
    DONE,
  ],
  ["whose token expires later", ({ give }) => give("ann", [OWNER], { expires: timeAt(10) + 1 }), LAST],
  [
    "when the other owner's token is revoked",
    async ({ give, revoke }) => {
      await give("ann", [OWNER]);
      await revoke(await give("bob", [OWNER]));
    },
    LAST,
  ],
  [
    "when the other owner's token has expired",
    async ({ give }) => {
      await give("ann", [OWNER]);
      await give("bob", [OWNER], { expires: timeAt(10) });
    },
    LAST,
  ],
  [
    "when the other owner comes after more tokens than fit on a page",
    async ({ add, give, change }) => {
      await give("ann", [OWNER]);
      await add("gone");
      const grants = Array.from(
        { length: 49 },
        (_, n): Grant => ({ role: "ORG_VIEWER", organization: `${n}`.repeat(100) }),
      );
      // The other owner's token is the last by id.
      for (let n = 1; n < 99; n++) await give("gone", [OWNER, ...grants]);
      await change("gone", DELETE);
      await give("bob", [OWNER]);
    },
    DONE,
  ],
  [
    "when the other owner is a program without a user",
    async ({ give }) => {
      await give("ann", [OWNER]);
      await give("a program", [OWNER]);
    },
    LAST,
  ],
  ...(
    [
      ["locked", LOCK, LAST],
      ["locked for longer", { ...LOCK, until: timeAt(10) + 1 }, LAST],
      ["locked until now", { ...LOCK, until: timeAt(10) }, DONE],
      ["inactive", DEACTIVATE, LAST],
      ["deleted", DELETE, LAST],
    ] as [string, UserCommand, string][]
  ).map(([state, command, outcome]): (typeof LOCKS)[number] => [
    `when the other owner is ${state}`,
    async ({ give, ...owners }) => {
      await give("ann", [OWNER]);
      await give("bob", [OWNER]);
      await owners.do("bob", command);
    },
    outcome,
  ]),
];

describe("the last-owner rule", () => {
  test.each(LOCKS)("decides on a lock of a user %s", async (_, given, outcome) => {
    const store = await open();
    const owners = ownersIn(store);
    for (const id of ["ann", "bob"]) await owners.add(id);
    await given(owners);
    clock.set(timeAt(10));
    const before = await owners.log();
    expect(await owners.change("ann", LOCK)).toBe(outcome);
    expect(await owners.log("ann")).toHaveLength(outcome === DONE ? 2 : 1);
    if (outcome !== DONE) expect(await owners.log()).toEqual(before);
  });

  test.each([LOCK, DEACTIVATE, DELETE])("refuses the command $type for the last owner", async (command) => {
    const owners = ownersIn(await open());
    for (const id of ["ann", "bob"]) {
      await owners.add(id);
      await owners.give(id, [OWNER]);
    }
    expect(await owners.change("bob", command)).toBe(DONE);
    expect(await owners.change("ann", command)).toBe(LAST);
  });

  test("names the last owner in its error", async () => {
    const owners = ownersIn(await open());
    await owners.add("ann");
    await owners.give("ann", [OWNER]);
    await expect(owners.otherOwner("ann")).rejects.toMatchObject({ reason: LAST, metadata: { user_id: "ann" } });
  });

  test("answers after the refusals by state and SELF_LOCK", async () => {
    const owners = ownersIn(await open());
    await owners.add("ann");
    await owners.give("ann", [OWNER]);
    expect(await owners.change("ann", LOCK, "ann")).toBe("SELF_LOCK");
    await owners.do("ann", DEACTIVATE);
    expect(await owners.change("ann", DEACTIVATE)).toBe("USER_ALREADY_INACTIVE");
  });

  test("allows a lock again once another owner can act", async () => {
    const owners = ownersIn(await open());
    for (const id of ["ann", "bob"]) {
      await owners.add(id);
      await owners.give(id, [OWNER]);
    }
    expect(await owners.change("bob", LOCK)).toBe(DONE);
    expect(await owners.change("ann", LOCK)).toBe(LAST);
    await owners.do("bob", { type: "unlock" });
    expect(await owners.change("ann", LOCK)).toBe(DONE);
    expect(await owners.change("bob", LOCK)).toBe(LAST);
  });
});

/** Ann and Bob are users. Each row has Ann's grant, the setup, and the outcome of revoking Ann's token. */
const REVOCATIONS: [name: string, grant: Grant, given: (owners: Owners) => Promise<unknown>, outcome: string][] = [
  ["when there is no other token", OWNER, async () => {}, LAST],
  ["for another role", { role: "INSTANCE_VIEWER" }, async () => {}, DONE],
  ["when its holder has another one", OWNER, ({ give }) => give("ann", [OWNER]), DONE],
  ["when its holder has one for another role", OWNER, ({ give }) => give("ann", [{ role: "GATEWAY" }]), LAST],
  ["when its holder's other one has expired", OWNER, ({ give }) => give("ann", [OWNER], { expires: timeAt(10) }), LAST],
  ["when another user has one", OWNER, ({ give }) => give("bob", [OWNER]), DONE],
  [
    "when another user has one and is locked",
    OWNER,
    async ({ give, change }) => {
      await give("bob", [OWNER]);
      await change("bob", LOCK);
    },
    LAST,
  ],
  ["when a program has one", OWNER, ({ give }) => give("a program", [OWNER]), LAST],
  [
    "whose holder is locked anyway",
    OWNER,
    async ({ give, change, revoke }) => {
      const ofBob = await give("bob", [OWNER]);
      await change("ann", LOCK);
      await revoke(ofBob);
    },
    DONE,
  ],
];

describe("the last-owner rule for tokens", () => {
  test.each(REVOCATIONS)("decides on the revocation of a token %s", async (_, grant, given, outcome) => {
    const owners = ownersIn(await open());
    for (const id of ["ann", "bob"]) await owners.add(id);
    const token = await owners.give("ann", [grant]);
    await given(owners);
    clock.set(timeAt(10));
    expect(await owners.revokeByCall(token)).toBe(outcome);
  });

  test("allows the revocation of a program's token when a user or another program has one", async () => {
    const owners = ownersIn(await open());
    const first = await owners.give("a program", [OWNER]);
    expect(await owners.revokeByCall(first)).toBe(LAST);
    const second = await owners.give("another program", [OWNER]);
    expect(await owners.revokeByCall(first)).toBe(DONE);
    await owners.add("ann");
    const ofAnn = await owners.give("ann", [OWNER]);
    expect(await owners.revokeByCall(second)).toBe(DONE);
    expect(await owners.revokeByCall(ofAnn)).toBe(LAST);
  });

  test.each(["tokens", "token and user"])(
    "keeps one of two owners that are removed concurrently by their %s",
    async (how) => {
      const owners = ownersIn(await open());
      for (let round = 0; round < 20; round++) {
        const [ann, bob] = [`ann ${round}`, `bob ${round}`];
        for (const id of [ann, bob]) await owners.add(id);
        const [ofAnn, ofBob] = [await owners.give(ann, [OWNER]), await owners.give(bob, [OWNER])];
        const other = how === "tokens" ? owners.revokeByCall(ofBob) : owners.change(bob, LOCK);
        const outcomes = await Promise.all([owners.revokeByCall(ofAnn), other]);
        expect(outcomes.sort()).toEqual([LAST, DONE].sort());
        for (const token of [ofAnn, ofBob]) await owners.revoke(token).catch(() => {});
      }
    },
  );
});

const WAYS = [LOCK, DEACTIVATE, DELETE];
const PAIRS = WAYS.flatMap((first) => WAYS.map((second) => ({ first, second })));

describe("the last-owner rule for two owners who remove each other concurrently", () => {
  /** Repeats the race through two entries into the same data. */
  async function race(one: Owners, other: Owners, first: UserCommand, second: UserCommand, rounds: number) {
    for (let round = 0; round < rounds; round++) {
      const [ann, bob] = [`ann ${round}`, `bob ${round}`];
      const tokens: string[] = [];
      for (const id of [ann, bob]) {
        await one.add(id);
        tokens.push(await one.give(id, [OWNER]));
      }
      const outcomes = await Promise.all([one.change(bob, first, ann), other.change(ann, second, bob)]);
      expect(outcomes.sort()).toEqual([LAST, DONE].sort());
      for (const token of tokens) await one.revoke(token);
    }
  }

  test.each(PAIRS)("keeps one of them with the commands $first.type and $second.type", async ({ first, second }) => {
    const store = await open();
    const owners = ownersIn(store);
    await race(owners, owners, first, second, 5);
  });

  test("keeps one of them when two processes share a file", async () => {
    const folder = temporaryFolder();
    try {
      const [one, other] = [await open(folder.file("userlock.db")), await open(folder.file("userlock.db"))];
      await race(ownersIn(one), ownersIn(other), LOCK, LOCK, 20);
    } finally {
      for (const store of stores.splice(0)) await store.close();
      folder.remove();
    }
  });
});

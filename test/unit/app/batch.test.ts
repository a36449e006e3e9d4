// Proves that a batch decides on each of its users separately.
import { setImmediate as nextTurn } from "node:timers/promises";
import { type BatchChange, createBatch, type Outcome } from "../../../src/app/batch.ts";
import { createExecute } from "../../../src/app/execute.ts";
import { createOwners } from "../../../src/app/last-owner.ts";
import { createReceipts } from "../../../src/app/receipts.ts";
import { createSearch } from "../../../src/app/search.ts";
import { createInstanceSecrets } from "../../../src/auth/instance-secrets.ts";
import type { Grant } from "../../../src/domain/access.ts";
import { DomainError } from "../../../src/domain/errors.ts";
import { accessToken } from "../../../src/domain/token.ts";
import { type UserCommand, user } from "../../../src/domain/user.ts";
import { type EventStore, StoreUnavailable } from "../../../src/store/port.ts";
import type { Query } from "../../../src/store/query.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { callerOf, handClock, INSTANCE, usersIn } from "../../support/servers/app.ts";
import { timeAt } from "../../support/user-story.ts";

let store: EventStore;
const clock = handClock(timeAt(0));
afterEach(() => store?.close());

/** A batch on a store whose methods the test observes or replaces. */
async function open(seen: Partial<EventStore> | ((inner: EventStore) => Partial<EventStore>) = {}) {
  const inner = await openSqliteStore(":memory:", "default");
  const underWay = new Set<Promise<unknown>>();
  store = watched({ ...inner, ...(typeof seen === "function" ? seen(inner) : seen) }, underWay);
  const parts = { store, clock };
  const receiptsOf = createReceipts({ ...parts, sealer: createInstanceSecrets(Buffer.alloc(32, 1)) });
  const execute = createExecute(parts);
  const batch = createBatch({
    execute,
    search: createSearch(parts),
    ...createOwners(parts),
    clock,
  });
  const users = usersIn(inner, clock);
  const idsOf = (count: number) =>
    Array.from({ length: count }, (_, index) => `user-${String(index).padStart(5, "0")}`);
  return {
    batch,
    ...users,
    /**
     * Resolves once no call to the store is in progress. Code that continues after an answer does so within two turns,
     * because searches for owners wait one turn for each other.
     */
    async atRest() {
      do {
        await Promise.allSettled(underWay);
        await nextTurn();
        await nextTurn();
      } while (underWay.size > 0);
    },
    /** The same change as a call with an Idempotency-Key; `request` stands for its content. */
    repeatable(change: BatchChange, request: string): BatchChange {
      const { principal } = operator;
      const call = { principal, idempotencyKey: "key", method: "BatchLockUsers", request: Buffer.from(request) };
      const toAnswer = ({ id }: { id: string }) => Buffer.from(id);
      return { ...change, repeatable: { receipts: receiptsOf(call), toAnswer } };
    },
    addMany: async (count: number) => {
      await Promise.all(idsOf(count).map((id) => users.add(id)));
      return idsOf(count);
    },
    async own(subject: string) {
      const id = `token of ${subject}`;
      const grants: Grant[] = [{ role: "INSTANCE_OWNER" }];
      const token = { id, owner: INSTANCE, subject, grants, hash: id };
      const command = { type: "create", token } as const;
      const change = { id, command, permission: "access.write", newOwner: INSTANCE } as const;
      await execute(accessToken, change, callerOf("operator"));
    },
  };
}

/** The same store; calls in progress are in `underWay`. */
function watched(inner: EventStore, underWay: Set<Promise<unknown>>): EventStore {
  return new Proxy(inner, {
    get(target, name) {
      const method = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      return (...args: unknown[]) => {
        const answer = method(...args);
        if (!(answer instanceof Promise)) return answer;
        underWay.add(answer);
        const forget = () => underWay.delete(answer);
        answer.then(forget, forget);
        return answer;
      };
    },
  });
}

const LOCK: BatchChange = {
  command: { type: "lock", reason: "fraud", note: "" },
  permission: "user.write",
  organization: undefined,
  isDryRun: false,
};
const UNLOCK: BatchChange = { ...LOCK, command: { type: "unlock" } };
const DRY = { ...LOCK, isDryRun: true };

const inWords = (outcome: Outcome) => `${outcome.id} ${"error" in outcome ? reasonOf(outcome.error) : "done"}`;
const reasonOf = (error: unknown) => (error instanceof DomainError ? error.reason : String(error));
const operator = callerOf("operator");

test("a batch gives each id its own outcome in request order, and a duplicate id gets the same outcome twice", async () => {
  const { batch, add, lock, log } = await open();
  for (const id of ["ann", "bob", "operator"]) await add(id);
  await lock("bob");
  const outcomes = await batch.ids(LOCK, ["nobody", "operator", "ann", "bob", "ann"], operator);
  expect(outcomes.map(inWords)).toEqual([
    "nobody USER_NOT_FOUND",
    "operator SELF_LOCK",
    "ann done",
    "bob USER_ALREADY_LOCKED",
    "ann done",
  ]);
  expect(outcomes[4]).toBe(outcomes[2]);
  expect((await log("ann")).map(({ type }) => type)).toEqual(["user.created", "user.locked"]);
  expect((await batch.ids(UNLOCK, ["ann", "operator"], operator)).map(inWords)).toEqual([
    "ann done",
    "operator USER_NOT_LOCKED",
  ]);
});

test("a dry run gives the outcomes of the real run with the users unchanged, and appends nothing", async () => {
  const { batch, add, lock, log } = await open();
  for (const id of ["ann", "bob", "operator"]) await add(id);
  await lock("bob");
  const before = await log();
  const ids = ["nobody", "operator", "ann", "bob"];
  const dry = await batch.ids(DRY, ids, operator);
  expect(await log()).toEqual(before);
  expect(dry[2]).toMatchObject({ stored: { version: 1, state: { lifecycle: "active" } } });
  expect(dry.map(inWords)).toEqual((await batch.ids(LOCK, ids, operator)).map(inWords));
});

describe("the last-owner rule in a batch", () => {
  test.each([2, 30])("keeps one owner when all %i are in one batch", async (count) => {
    const { batch, addMany, own } = await open();
    const owners = await addMany(count);
    for (const id of owners) await own(id);
    for (const change of [DRY, LOCK]) {
      const outcomes = (await batch.ids(change, owners, operator)).map(inWords);
      expect(outcomes.filter((words) => words.endsWith(" done"))).toHaveLength(count - 1);
      expect(outcomes.filter((words) => words.endsWith(" LAST_OWNER"))).toHaveLength(1);
    }
  });

  test("takes fewer than ten searches for a batch of 1,000 users", async () => {
    const queries: Query[] = [];
    const { batch, addMany, own } = await open((inner) => ({
      search: (query) => {
        queries.push(query);
        return inner.search(query);
      },
    }));
    const ids = await addMany(1_000);
    await own(ids[500] as string);
    queries.length = 0;
    const outcomes = (await batch.ids(LOCK, ids, operator)).map(inWords);
    expect(outcomes.filter((words) => !words.endsWith(" done"))).toEqual([`${ids[500]} LAST_OWNER`]);
    expect(queries.length).toBeLessThan(10);
  });

  test("also protects a user who became an owner after the batch began", async () => {
    let meanwhile = async () => {};
    const { batch, addMany, own } = await open((inner) => ({
      async append(append) {
        const result = await inner.append(append);
        if (append.kind === user.kind) await meanwhile();
        return result;
      },
    }));
    const ids = await addMany(2_000);
    const last = ids.at(-1) as string;
    let given: Promise<void> | undefined;
    meanwhile = () => {
      given ??= own(last);
      return given;
    };
    expect((await batch.ids(LOCK, ids, operator)).map(inWords).at(-1)).toBe(`${last} LAST_OWNER`);
  });
});

describe("a batch by filters", () => {
  test("visits each matching user once, page by page", async () => {
    const { batch, addMany, log } = await open();
    const ids = await addMany(25);
    const filters = [{ id: { method: "starts_with" as const, value: "user-0" } }];
    const seen: string[] = [];
    const sizes: number[] = [];
    for (let after: string | undefined = ""; after !== undefined; ) {
      const page = await batch.page(LOCK, { filters, after, limit: 10 }, operator);
      seen.push(...page.outcomes.map(inWords));
      sizes.push(page.outcomes.length);
      after = page.next;
    }
    expect({ sizes, seen }).toEqual({ sizes: [10, 10, 5], seen: ids.map((id) => `${id} done`) });
    expect((await log()).filter(({ type }) => type === "user.locked")).toHaveLength(25);
  });

  test("gives no next cursor on the last page, even if that page is full or empty", async () => {
    const { batch, addMany } = await open();
    await addMany(20);
    const filters = [{ state: "active" as const }];
    const last = await batch.page(DRY, { filters, after: "user-00009", limit: 10 }, operator);
    expect(last).toMatchObject({ outcomes: { length: 10 }, next: undefined });
    expect(await batch.page(DRY, { filters, after: "user-00019", limit: 10 }, operator)).toEqual({
      outcomes: [],
      next: undefined,
    });
  });

  test("never asks the store for the total number of matches", async () => {
    const totals: unknown[] = [];
    const { batch, addMany } = await open((inner) => ({
      search: (query) => {
        totals.push(query.total);
        return inner.search(query);
      },
    }));
    await addMany(5);
    await batch.page(LOCK, { filters: [], after: "", limit: 2 }, operator);
    expect(new Set(totals)).toEqual(new Set([false]));
  });
});

describe("a whole batch call fails", () => {
  test("when its deadline passes halfway, and users that are already locked stay locked", async () => {
    const call = new AbortController();
    let appends = 0;
    const { batch, addMany, log, atRest } = await open((inner) => ({
      append: (append) => {
        if (append.events[0]?.type === "user.locked" && ++appends === 700) call.abort(new Error("the time is up"));
        return inner.append(append);
      },
    }));
    const ids = await addMany(3_000);
    await expect(batch.ids(LOCK, ids, callerOf("operator", call.signal))).rejects.toThrow("the time is up");
    await atRest();
    const locked = (await log()).filter(({ type }) => type === "user.locked").length;
    expect(locked).toBe(appends);
    expect(locked).toBeLessThan(1_100);
  });

  test.each<[string, Extract<UserCommand, { type: "lock" }>]>([
    ["is in the past", { type: "lock", reason: "x", note: "", until: timeAt(-1) }],
    ["is 11 years away", { type: "lock", reason: "x", note: "", duration: 11 * 366 * 86_400_000_000 }],
  ])("when the end of the locks %s", async (_what, command) => {
    const { batch, add } = await open();
    await add("ann");
    const change = { ...LOCK, command };
    await expect(batch.ids(change, ["ann"], operator)).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
    await expect(batch.page(change, { filters: [], after: "", limit: 1 }, operator)).rejects.toMatchObject({
      reason: "INVALID_REQUEST",
    });
  });

  test("when no grant covers its organization", async () => {
    const { batch } = await open();
    const caller = { ...operator, principal: { subject: "m", grants: [{ role: "ORG_OWNER", organization: "a" }] } };
    await expect(batch.ids({ ...LOCK, organization: "b" }, ["ann"], caller as typeof operator)).rejects.toMatchObject({
      reason: "PERMISSION_MISSING",
    });
  });

  test("when the store fails for every user", async () => {
    const fail = async () => {
      throw new StoreUnavailable("no disk");
    };
    const { batch, addMany } = await open({ append: fail });
    const ids = await addMany(1_200);
    await expect(batch.ids(LOCK, ids, operator)).rejects.toMatchObject({ reason: "STORE_UNAVAILABLE" });
  });
});

test("when the store fails halfway, locked users are reported as done and the rest fail without an attempt", async () => {
  let appends = 0;
  const { batch, addMany } = await open((inner) => ({
    append: async (append) => {
      if (append.events[0]?.type === "user.locked" && ++appends > 600) throw new StoreUnavailable("no disk");
      return inner.append(append);
    },
  }));
  const ids = await addMany(3_000);
  const outcomes = (await batch.ids(LOCK, ids, operator)).map(inWords);
  expect(outcomes.filter((words) => words.endsWith(" done"))).toHaveLength(600);
  expect(outcomes.filter((words) => words.endsWith(" STORE_UNAVAILABLE"))).toHaveLength(2_400);
  expect(appends).toBeLessThan(1_500);
});

test("an unexpected error affects only its own user", async () => {
  const { batch, addMany } = await open((inner) => ({
    load: (kind, id) => (id === "user-00001" ? Promise.reject(new TypeError("damaged")) : inner.load(kind, id)),
  }));
  const ids = await addMany(3);
  expect((await batch.ids(LOCK, ids, operator)).map(inWords)).toEqual([
    "user-00000 done",
    "user-00001 TypeError: damaged",
    "user-00002 done",
  ]);
});

describe("a batch call with an idempotency key that was cut off halfway", () => {
  /** Such a batch of many users, and the ids of the users that it locked. */
  async function cutOff() {
    const call = new AbortController();
    let appends = 0;
    const opened = await open((inner) => ({
      append: (append) => {
        if (append.events[0]?.type === "user.locked" && ++appends === 700) call.abort(new Error("the time is up"));
        return inner.append(append);
      },
    }));
    const ids = await opened.addMany(3_000);
    const cut = opened.batch.ids(opened.repeatable(LOCK, "all"), ids, callerOf("operator", call.signal));
    await expect(cut).rejects.toThrow("the time is up");
    await opened.atRest();
    const locked = async () =>
      (await opened.log()).filter(({ type }) => type === "user.locked").map(({ userId }) => userId as string);
    return { ...opened, ids, locked };
  }

  test("resumes when it is repeated, and locks each user once", async () => {
    const { batch, ids, repeatable, locked } = await cutOff();
    const outcomes = await batch.ids(repeatable(LOCK, "all"), ids, operator);
    expect(outcomes.map(inWords)).toEqual(ids.map((id) => `${id} done`));
    expect((await locked()).sort()).toEqual(ids);
  });

  test("blocks its key for any other request before any user changes", async () => {
    const { batch, ids, repeatable, locked } = await cutOff();
    const before = await locked();
    const other = repeatable(LOCK, "others");
    const reused = { reason: "IDEMPOTENCY_KEY_REUSED" };
    await expect(batch.ids(other, ids.toReversed(), operator)).rejects.toMatchObject(reused);
    const which = { filters: [], after: "", limit: 1_000 };
    await expect(batch.page(other, which, operator)).rejects.toMatchObject(reused);
    expect(await locked()).toEqual(before);
  });
});

test("of two concurrent calls with the same key and different requests, one is refused before any user changes", async () => {
  const { batch, addMany, repeatable, log } = await open();
  const ids = await addMany(20);
  const calls = await Promise.allSettled([
    batch.ids(repeatable(LOCK, "one half"), ids.slice(0, 10), operator),
    batch.ids(repeatable(LOCK, "the other"), ids.slice(10), operator),
  ]);
  expect(calls.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  expect(calls.find(({ status }) => status === "rejected")).toMatchObject({
    reason: { reason: "IDEMPOTENCY_KEY_REUSED" },
  });
  expect((await log()).filter(({ type }) => type === "user.locked")).toHaveLength(10);
});

test("a user whose part of the key belongs to another request gets IDEMPOTENCY_KEY_REUSED", async () => {
  const { batch, addMany, repeatable, lock } = await open();
  const ids = await addMany(2);
  const [first, second] = ids as [string, string];
  await repeatable(LOCK, "another").repeatable?.receipts.part(first).keep(Buffer.from(first));
  await lock(second);
  const outcomes = await batch.ids(repeatable(LOCK, "this"), ids, operator);
  expect(outcomes.map(inWords)).toEqual([`${first} IDEMPOTENCY_KEY_REUSED`, `${second} USER_ALREADY_LOCKED`]);
});

test("a dry run stores nothing under its idempotency key", async () => {
  const { batch, addMany, repeatable } = await open();
  const ids = await addMany(2);
  await batch.ids(repeatable(DRY, "dry"), ids, operator);
  expect((await batch.ids(repeatable(LOCK, "in earnest"), ids, operator)).map(inWords)).toEqual(
    ids.map((id) => `${id} done`),
  );
});

test("two concurrent batches over the same users lock each user once", async () => {
  const { batch, addMany, log } = await open();
  const ids = await addMany(1_500);
  const [one, other] = await Promise.all([
    batch.ids(LOCK, ids, operator),
    batch.ids(LOCK, [...ids].reverse(), operator),
  ]);
  const done = [...one, ...other].map(inWords).filter((words) => words.endsWith(" done"));
  expect(new Set(done).size).toBe(1_500);
  expect(done).toHaveLength(1_500);
  expect((await log()).filter(({ type }) => type === "user.locked")).toHaveLength(1_500);
});

// Proves that batches lock and unlock many users by ids and by filters.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import {
  type BatchLockUsersRequestSchema,
  type BatchResult,
  LockCause,
  State,
  TextFilterMethod,
  UserService,
} from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { systemClock } from "../../../src/clock.ts";
import type { EventStore } from "../../../src/store/port.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { tokenMaker } from "../../support/access.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { usersIn } from "../../support/servers/app.ts";
import { bystanderOf } from "../../support/servers/bystander.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

const { batchLockUsers, batchUnlockUsers, createUser, getUser, lockUser, unlockUser } = UserService.method;

let server: ServerProcess;
let doors: Door[] = [];
let door: Door;
const folder = temporaryFolder();
let store: EventStore;
beforeAll(async () => {
  const file = folder.file("userlock.db");
  server = await startServer({ USERLOCK_STORE: `sqlite:${file}` });
  store = await openSqliteStore(file, "default");
  doors = openDoors(server.url);
  door = doors.find(({ name }) => name === "Connect proto, UserService") as Door;
});
afterAll(async () => {
  for (const each of doors) each.close();
  await server?.stop();
  await store?.close();
  folder.remove();
});

type Request = MessageInitShape<typeof BatchLockUsersRequestSchema>;
const asOwner = { token: ADMIN_TOKEN };
let count = 0;
const unique = (name: string) => `${name}-${++count}`;
const org = (id: string) => ({ property: { case: "orgId", value: id } }) as const;

async function add(id: string, organization?: string): Promise<string> {
  const where = organization === undefined ? {} : { organization: org(organization) };
  const { code } = await door.call(createUser, { user: { userId: id }, ...where }, asOwner);
  expect(code).toBe("OK");
  return id;
}
/** Adds users with ids of a prefix and a number. */
async function addMany(many: number, prefix = unique("many")): Promise<string[]> {
  const ids = Array.from({ length: many }, (_, index) => `${prefix}-${String(index).padStart(5, "0")}`);
  const users = usersIn(store, systemClock());
  // Directly into the store, because calls would take longer than the test.
  await Promise.all(ids.map((id) => users.add(id)));
  return ids;
}
const reasonOf = ({ outcome }: BatchResult) =>
  outcome.case === "error"
    ? outcome.value.details.map((any) => anyUnpack(any, ErrorInfoSchema)?.reason).find(Boolean)
    : "done";
const inWords = (results: BatchResult[] = []) => results.map((result) => `${result.id} ${reasonOf(result)}`);
const lock = (request: Request, token = ADMIN_TOKEN, through = door) =>
  through.call(batchLockUsers, request, { token });
const stateOf = async (id: string) => (await door.call(getUser, { id }, asOwner)).response?.user?.state;
const startsWith = (id: string) => ({
  filter: { case: "userIdFilter" as const, value: { id, method: TextFilterMethod.STARTS_WITH } },
});

test("over every protocol a batch gives each user, in request order, the answer of a single call", async () => {
  for (const each of doors) {
    const [ann, bob, gone] = [unique("ann"), unique("bob"), unique("gone")];
    for (const id of [ann, bob]) await add(id);
    await door.call(lockUser, { id: bob }, asOwner);
    const ids = [gone, bob, ann, gone];
    const dry = await lock({ ids, reason: "wave-7", note: "All of them.", dryRun: true }, ADMIN_TOKEN, each);
    expect([each.name, await stateOf(ann)]).toEqual([each.name, State.USER_STATE_ACTIVE]);
    const answer = await lock({ ids, reason: "wave-7", note: "All of them." }, ADMIN_TOKEN, each);
    const expected = [`${gone} USER_NOT_FOUND`, `${bob} USER_ALREADY_LOCKED`, `${ann} done`, `${gone} USER_NOT_FOUND`];
    expect([each.name, answer.code, inWords(answer.response?.results)]).toEqual([each.name, "OK", expected]);
    expect(inWords(dry.response?.results)).toEqual(expected);

    const error = answer.response?.results[1]?.outcome;
    const alone = await each.call(lockUser, { id: bob }, asOwner);
    const status = error?.case === "error" ? error.value : undefined;
    expect(status?.code).toBe(Code.FAILED_PRECONDITION);
    expect([status?.message, status?.details.map(({ typeUrl }) => typeUrl.replace(/^.*\./, ""))]).toEqual([
      alone.message,
      alone.detailTypes,
    ]);
    const { response } = await door.call(getUser, { id: ann }, asOwner);
    expect(response?.user?.lock).toMatchObject({ cause: LockCause.MANUAL, reason: "wave-7", note: "All of them." });
    expect(answer.response?.results[2]?.outcome.value).toEqual(response?.user?.details);

    const unlocked = await each.call(batchUnlockUsers, { ids: [ann, ann, gone] }, asOwner);
    expect(inWords(unlocked.response?.results)).toEqual([`${ann} done`, `${ann} done`, `${gone} USER_NOT_FOUND`]);
    expect(await stateOf(ann)).toBe(State.USER_STATE_ACTIVE);
  }
});

test("a batch gives each user their own error, such as SELF_LOCK, LAST_OWNER and PERMISSION_MISSING", async () => {
  const [self, last, own, foreign] = [unique("self"), unique("last"), unique("own"), unique("foreign")];
  const [mine, readable, other] = [unique("org"), unique("org"), unique("org")];
  await add(self, mine);
  await add(own, mine);
  await add(last);
  await add(foreign, other);
  const read = await add(unique("read"), readable);
  const make = tokenMaker(server.url, ADMIN_TOKEN);
  const manager = await make.create(self, ["ORG_USER_MANAGER", mine], ["ORG_VIEWER", readable]);
  const answer = await lock({ ids: [self, own, foreign, read, last] }, manager.secret);
  expect(inWords(answer.response?.results)).toEqual([
    `${self} SELF_LOCK`,
    `${own} done`,
    `${foreign} USER_NOT_FOUND`,
    `${read} PERMISSION_MISSING`,
    `${last} USER_NOT_FOUND`,
  ]);

  await make.create(last, ["INSTANCE_OWNER"]);
  expect(inWords((await lock({ ids: [last, foreign] })).response?.results)).toEqual([
    `${last} LAST_OWNER`,
    `${foreign} done`,
  ]);
});

describe("a batch fails as a whole and locks no user for", () => {
  test.each<[string, Request, code: string, field: string]>([
    ["neither ids nor filters", {}, "INVALID_ARGUMENT", ""],
    ["both ids and filters", { ids: ["a"], filters: [startsWith("a")] }, "INVALID_ARGUMENT", ""],
    ["a cursor with ids", { ids: ["a"], cursor: "a" }, "INVALID_ARGUMENT", ""],
    ["an invalid id", { ids: ["a", "b b"] }, "INVALID_ARGUMENT", "ids[1]"],
    ["10,001 ids", { ids: Array.from({ length: 10_001 }, (_, n) => `u${n}`) }, "INVALID_ARGUMENT", "ids"],
    ["a page of 1,001 users", { filters: [startsWith("a")], limit: 1_001 }, "INVALID_ARGUMENT", "limit"],
    ["101 filters", { filters: Array.from({ length: 101 }, () => startsWith("a")) }, "INVALID_ARGUMENT", "filters"],
    ["an end in the past", { ids: ["a"], end: { case: "until", value: { seconds: 1n } } }, "INVALID_ARGUMENT", "until"],
    [
      "an organization's domain",
      { ids: ["a"], organization: { property: { case: "orgDomain", value: "a.example" } } },
      "UNIMPLEMENTED",
      "",
    ],
  ])("%s", async (_what, request, code, field) => {
    for (const each of doors) {
      const answer = await lock(request, ADMIN_TOKEN, each);
      expect([each.name, answer.code]).toEqual([each.name, code]);
      if (field !== "") expect(answer.badRequest?.fieldViolations[0]?.field).toBe(field);
    }
  });

  test("a missing token, a missing permission, and an organization outside the grants", async () => {
    const make = tokenMaker(server.url, ADMIN_TOKEN);
    const viewer = await make.create("viewer", ["INSTANCE_VIEWER"]);
    const manager = await make.create("manager", ["ORG_USER_MANAGER", "acme"]);
    const request = { ids: ["a"] };
    expect(await door.call(batchLockUsers, request)).toMatchObject({ code: "UNAUTHENTICATED" });
    expect(await lock(request, viewer.secret)).toMatchObject({ code: "PERMISSION_DENIED" });
    expect(await lock({ ...request, organization: org("other") }, manager.secret)).toMatchObject({
      code: "PERMISSION_DENIED",
    });
    const filters = [startsWith("a")];
    expect(await lock({ filters, organization: org("other") }, manager.secret)).toMatchObject({
      code: "PERMISSION_DENIED",
    });
  });
});

test("a batch of 10,000 ids is answered in order while other calls are served, even if all are refused", async () => {
  const ids = await addMany(10_000);
  const bystander = await bystanderOf(server.url);
  try {
    for (const words of ["done", "USER_ALREADY_LOCKED"]) {
      const answer = await bystander.isServedDuring(() =>
        lock(
          { ids },
          ADMIN_TOKEN,
          doors.find(({ name }) => name === "gRPC, UserService"),
        ),
      );
      expect(answer.code).toBe("OK");
      expect(inWords(answer.response?.results)).toEqual(ids.map((id) => `${id} ${words}`));
    }
  } finally {
    bystander.close();
  }
});

test("batches by filters lock thousands of users in pages, each user on one page", async () => {
  const prefix = unique("paged");
  const ids = await addMany(2_500, prefix);
  const pages: number[] = [];
  const seen: string[] = [];
  let cursor = "";
  do {
    const { response } = await lock({ filters: [startsWith(prefix)], cursor });
    pages.push(response?.results.length ?? 0);
    seen.push(...inWords(response?.results));
    cursor = response?.nextCursor ?? "";
  } while (cursor !== "");
  expect(pages).toEqual([1_000, 1_000, 500]);
  expect(seen).toEqual(ids.map((id) => `${id} done`));

  const lockFilter = { filter: { case: "lockFilter" as const, value: { locked: true } } };
  const request = { filters: [startsWith(prefix), lockFilter], limit: 3 };
  const { response } = await door.call(batchUnlockUsers, request, asOwner);
  expect(inWords(response?.results)).toEqual(ids.slice(0, 3).map((id) => `${id} done`));
  expect(response?.nextCursor).toBe(ids[2]);
});

test("a batch by filters reaches the users that the caller may read, and reports those that the caller may not lock", async () => {
  const [mine, readable, other] = [unique("org"), unique("org"), unique("org")];
  const prefix = unique("scoped");
  for (const [name, organization] of [
    ["a", mine],
    ["b", readable],
    ["c", other],
    ["d", mine],
  ] as const) {
    await add(`${prefix}-${name}`, organization);
  }
  const make = tokenMaker(server.url, ADMIN_TOKEN);
  const { secret } = await make.create(unique("m"), ["ORG_USER_MANAGER", mine], ["ORG_VIEWER", readable]);
  const filters = [startsWith(prefix)];
  expect(inWords((await lock({ filters }, secret)).response?.results)).toEqual([
    `${prefix}-a done`,
    `${prefix}-b PERMISSION_MISSING`,
    `${prefix}-d done`,
  ]);
  const inMine = await lock({ filters, organization: org(mine), dryRun: true }, secret);
  expect(inWords(inMine.response?.results)).toEqual([
    `${prefix}-a USER_ALREADY_LOCKED`,
    `${prefix}-d USER_ALREADY_LOCKED`,
  ]);
});

test("concurrent batches and single calls over the same users make each change once", async () => {
  const ids = await addMany(1_000);
  const batches = await Promise.all([0, 1, 2].map(() => lock({ ids })));
  const done = batches.flatMap(({ response }) => inWords(response?.results)).filter((words) => words.endsWith(" done"));
  expect(done.sort()).toEqual(ids.map((id) => `${id} done`));

  const [batch, ...singles] = await Promise.all([
    door.call(batchUnlockUsers, { ids }, asOwner),
    ...ids.map((id) => door.call(unlockUser, { id }, asOwner)),
  ]);
  const byBatch = inWords(batch.response?.results);
  expect(singles.map(({ code }, index) => `${ids[index]} ${code === "OK" ? "done" : "USER_NOT_LOCKED"}`)).toEqual(
    byBatch.map((words) =>
      words.endsWith(" done") ? words.replace("done", "USER_NOT_LOCKED") : words.replace("USER_NOT_LOCKED", "done"),
    ),
  );
  expect(await stateOf(ids[0] as string)).toBe(State.USER_STATE_ACTIVE);
});

test("the deadline ends a batch, and each user is either locked or not", async () => {
  const ids = await addMany(5_000);
  // Longer deadlines until one ends the batch halfway, because its speed depends on the machine.
  for (let milliseconds = 40; ; milliseconds *= 1.5) {
    const headers = { "connect-timeout-ms": milliseconds.toFixed(0) };
    const { code } = await door.call(batchLockUsers, { ids }, { ...asOwner, headers });
    expect(code).toBe("DEADLINE_EXCEEDED");
    const again = await lock({ ids });
    expect(again.code).toBe("OK");
    const outcomes = new Set(again.response?.results.map(reasonOf));
    if (outcomes.size === 2) {
      expect(outcomes).toEqual(new Set(["done", "USER_ALREADY_LOCKED"]));
      break;
    }
    expect(outcomes).toEqual(new Set(["done"]));
    expect((await door.call(batchUnlockUsers, { ids }, asOwner)).code).toBe("OK");
  }
});

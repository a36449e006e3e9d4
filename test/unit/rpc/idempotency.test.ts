// Proves that the answer of a call with an idempotency key is stored and checked.
import { create } from "@bufbuild/protobuf";
import { PatchUserResponseSchema, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { createExecute, type Stored } from "../../../src/app/execute.ts";
import { createReceipts } from "../../../src/app/receipts.ts";
import { createInstanceSecrets } from "../../../src/auth/instance-secrets.ts";
import { user } from "../../../src/domain/user.ts";
import type { User } from "../../../src/domain/user-state.ts";
import { answerOnce } from "../../../src/rpc/idempotency.ts";
import type { Append, EventStore } from "../../../src/store/port.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { callerOf, handClock, usersIn } from "../../support/servers/app.ts";
import { timeAt } from "../../support/user-story.ts";

const { patchUser } = UserService.method;
const clock = handClock(timeAt(0));
const operator = callerOf("operator");

let store: EventStore;
beforeEach(async () => {
  store = await openSqliteStore(":memory:", "default");
  await usersIn(store, clock).add("ann");
});
afterEach(() => store.close());

/** PatchUser with an Idempotency-Key. The answer names the version of the user that it was made from. */
function call(append: EventStore["append"] = store.append, check = async () => {}) {
  const execute = createExecute({ store: { ...store, append }, clock });
  const receipts = createReceipts({ store, sealer: createInstanceSecrets(Buffer.alloc(32, 1)), clock })({
    principal: operator.principal,
    idempotencyKey: "key",
    method: patchUser.name,
    request: Buffer.from("patch ann"),
  });
  const toAnswer = ({ version }: Stored<User>) => ({ details: { id: String(version) } });
  const command = { type: "patch", profile: { schemaId: "employee" } } as const;
  const run: Parameters<typeof answerOnce<typeof PatchUserResponseSchema>>[2] = async ({ receiptFor }) => {
    const change = { id: "ann", command, permission: "user.write", receipt: receiptFor?.(toAnswer) } as const;
    return create(PatchUserResponseSchema, toAnswer(await execute(user, change, operator)));
  };
  return answerOnce(patchUser.output, receipts, run, check);
}

const versionIn = (answer: unknown) => (answer as { details: { id: string } }).details.id;

test("the answer of an idempotent call is stored together with its change", async () => {
  const appends: Append[] = [];
  const first = await call((append) => {
    appends.push(append);
    return store.append(append);
  });
  expect(appends).toMatchObject([{ receipt: { key: expect.any(String) } }]);
  await usersIn(store, clock).lock("ann");
  expect([versionIn(first), versionIn(await call())]).toEqual(["2", "2"]);
});

test("the answer is also stored if a concurrent call already made the change", async () => {
  const first = await call(async (append) => {
    await usersIn(store, clock).do("ann", { type: "patch", profile: { schemaId: "employee" } });
    return store.append(append);
  });
  await usersIn(store, clock).lock("ann");
  expect([versionIn(first), versionIn(await call())]).toEqual(["2", "2"]);
});

test("a stored answer that its check rejects is not given again, even if a concurrent call stored it", async () => {
  const gone = () => Promise.reject(new Error("gone"));
  await call(undefined, gone);
  await expect(call(undefined, gone)).rejects.toThrow("gone");
  // The same call finishes first, with the same change.
  store = await openSqliteStore(":memory:", "default");
  await usersIn(store, clock).add("ann");
  const overtaken = call(async (append) => {
    await call();
    return store.append(append);
  }, gone);
  await expect(overtaken).rejects.toThrow("gone");
});

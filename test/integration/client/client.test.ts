// Proves that the clients of @userlock/client call again without doing anything twice, and that their errors have reasons.
import { Code, createUserlock, State, type Userlock, UserlockError } from "../../../packages/client/src/index.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { type CuttingRelay, startCuttingRelay } from "../../support/stores/cutting-relay.ts";

let server: ServerProcess;
let relay: CuttingRelay;
let userlock: Userlock;

beforeAll(async () => {
  server = await startServer();
  relay = await startCuttingRelay({ host: "127.0.0.1", port: Number(new URL(server.url).port) });
  userlock = createUserlock({ url: `http://127.0.0.1:${relay.port}`, token: ADMIN_TOKEN, retry: { firstMs: 10 } });
});
afterAll(async () => {
  userlock.close();
  await relay.stop();
  await server.stop();
});

/** The error that the call rejects with. */
const errorOf = (call: Promise<unknown>) =>
  call.then(
    () => undefined,
    (error: unknown) => error,
  );

test("a locked user is locked, and the error of a second lock has code, reason, metadata and cause", async () => {
  await userlock.users.createUser({ user: { userId: "alice" } });
  await userlock.users.lockUser({ id: "alice", reason: "fraud" });
  const { user } = await userlock.users.getUser({ id: "alice" });
  expect(user?.state).toBe(State.USER_STATE_LOCKED);

  const error = await errorOf(userlock.users.lockUser({ id: "alice", reason: "fraud" }));
  expect(error).toBeInstanceOf(UserlockError);
  expect(error).toMatchObject({
    code: Code.FailedPrecondition,
    reason: "USER_ALREADY_LOCKED",
    metadata: { user_id: "alice" },
  });
  expect((error as UserlockError).cause).toMatchObject({ code: Code.FailedPrecondition });
});

test.each(["before", "after", "answer"] as const)(
  "a lock whose connection is cut at the moment '%s' is made again, and the user is locked once",
  async (moment) => {
    const id = `cut-${moment}`;
    await userlock.users.createUser({ user: { userId: id } });
    const cuts = relay.cuts();
    relay.cut(moment, "LockUser");
    await userlock.users.lockUser({ id, reason: "fraud" });
    expect(relay.cuts()).toBe(cuts + 1);
    const { events } = await userlock.events.listEvents({ userIds: [id], types: ["user.locked"] });
    expect(events).toHaveLength(1);
  },
);

test("a caller's own Idempotency-Key is the one that is sent", async () => {
  const options = { headers: { "idempotency-key": "mine" } };
  await userlock.users.createUser({ user: { userId: "bob" } });
  const first = await userlock.users.lockUser({ id: "bob", reason: "fraud" }, options);
  expect(await userlock.users.lockUser({ id: "bob", reason: "fraud" }, options)).toEqual(first);
});

test("a server that is away fails with UNAVAILABLE once the attempts are used up, and not before", async () => {
  const away = createUserlock({ url: "http://127.0.0.1:1", token: "a", retry: { attempts: 3, firstMs: 40 } });
  const start = performance.now();
  const error = await errorOf(away.users.getUser({ id: "alice" }));
  expect(error).toMatchObject({ code: Code.Unavailable, reason: undefined, cause: { code: "ECONNREFUSED" } });
  // Pauses of 40 and 80 ms, each with jitter of a half.
  expect(performance.now() - start).toBeGreaterThan(59);
});

test("retries end at the caller's deadline and at the caller's signal", async () => {
  const away = createUserlock({ url: "http://127.0.0.1:1", token: "a", retry: { attempts: 1_000, firstMs: 10 } });
  const start = performance.now();
  await errorOf(away.users.getUser({ id: "alice" }, { timeoutMs: 200 }));
  const aborted = new AbortController();
  setTimeout(() => aborted.abort(), 50);
  await errorOf(away.users.getUser({ id: "alice" }, { timeoutMs: 60_000, signal: aborted.signal }));
  expect(performance.now() - start).toBeLessThan(10_000);
});

test("a stream resumes after its last cursor, and a bad token ends it with a reason", async () => {
  for await (const { event } of userlock.events.watchEvents({ after: "0", types: ["user.locked"] })) {
    if (event) {
      expect(event.userId).toBe("alice");
      break;
    }
  }
  const stranger = createUserlock({ url: server.url, token: "stranger" });
  const error = await errorOf(stranger.events.watchEvents({})[Symbol.asyncIterator]().next());
  expect(error).toMatchObject({ code: Code.Unauthenticated, reason: "TOKEN_INVALID" });
  stranger.close();
});

test("a closed client makes no more calls", async () => {
  const closed = createUserlock({ url: server.url, token: ADMIN_TOKEN });
  closed.close();
  expect(await errorOf(closed.users.getUser({ id: "alice" }))).toMatchObject({ code: Code.Canceled });
});

test.each(["ftp://127.0.0.1", "http://user:secret@127.0.0.1", "127.0.0.1"])("the address %s is refused", (url) => {
  expect(() => createUserlock({ url, token: "a" })).toThrow(/^url: /);
});

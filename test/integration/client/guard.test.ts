// Proves that a guard refuses, from memory and by the server, whoever may not act, and what it does without a server.
import { setTimeout as sleep } from "node:timers/promises";
import { createGuard, type Guard, type GuardOptions } from "../../../packages/client/src/guard/guard.ts";
import { createUserlock, type Userlock } from "../../../packages/client/src/index.ts";
import { tokenMaker } from "../../support/access.ts";
import { eventually } from "../../support/client/eventually.ts";
import { type Issuer, startIssuer } from "../../support/client/issuer.ts";
import { PASSWORD } from "../../support/logins.ts";
import { runCommand } from "../../support/servers/command.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { startRelay } from "../../support/stores/relay.ts";

let issuer: Issuer;
let server: ServerProcess;
let userlock: Userlock;
/** The token of the role GATEWAY. */
let token: string;
const closing = new AbortController();

beforeAll(async () => {
  issuer = await startIssuer();
  server = await startServer(issuer.settings);
  userlock = createUserlock({ url: server.url, token: ADMIN_TOKEN });
  token = (await tokenMaker(server.url, ADMIN_TOKEN).create("gateway", ["GATEWAY"])).secret;
});
afterAll(async () => {
  closing.abort();
  userlock.close();
  await server.stop();
  await issuer.stop();
});

async function openGuard(options: Partial<GuardOptions> = {}): Promise<Guard> {
  const all = { url: server.url, token, jwt: issuer.jwt, introspect: true, signal: closing.signal, ...options };
  const guard = createGuard(all);
  await guard.ready;
  return guard;
}

let users = 0;
/** Adds a user with a password, and resolves with the id. */
async function addUser(): Promise<string> {
  const id = `user-${users++}`;
  const authenticators = { password: { type: { case: "password" as const, value: PASSWORD } } };
  await userlock.users.createUser({ user: { userId: id, authenticators } });
  return id;
}

/** Logs in, and resolves with the new session. */
const logIn = (id: string) =>
  userlock.sessions.createSession({ user: { case: "userId", value: id }, password: PASSWORD });

/** "ok" or the reason of the refusal. */
async function outcome(guard: Guard, secret: string | undefined): Promise<string> {
  const verdict = await guard.check(secret);
  return verdict.ok ? "ok" : verdict.reason;
}

test("a guard refuses the JWT of each user who may not act, with or without its having been seen before", async () => {
  const [locked, inactive, deleted, other] = [await addUser(), await addUser(), await addUser(), await addUser()];
  await userlock.users.lockUser({ id: locked, reason: "fraud" });
  const guard = await openGuard();
  const tokens = await Promise.all([locked, inactive, deleted, other, "stranger"].map((id) => issuer.sign(id)));
  const outcomes = () => Promise.all(tokens.map((each) => outcome(guard, each)));
  expect(await outcomes()).toEqual(["USER_DENIED", "ok", "ok", "ok", "ok"]);

  await userlock.users.deactivateUser({ id: inactive });
  await userlock.users.deleteUser({ id: deleted });
  await eventually(async () => (await outcomes()).join() === "USER_DENIED,USER_DENIED,USER_DENIED,ok,ok");

  // A guard that starts later knows all of them.
  const later = await openGuard();
  expect(await Promise.all(tokens.map((each) => outcome(later, each)))).toEqual(await outcomes());
  await userlock.users.unlockUser({ id: locked });
  await eventually(async () => (await outcome(guard, tokens[0])) === "ok");
});

test("a token that is missing, broken, of userlock itself or expired is refused with its reason", async () => {
  const guard = await openGuard();
  expect(await outcome(guard, undefined)).toBe("TOKEN_MISSING");
  expect(await outcome(guard, "")).toBe("TOKEN_MISSING");
  for (const bad of ["a b", "é", "x".repeat(20_000), "a.b.c", token, ADMIN_TOKEN]) {
    expect(await outcome(guard, bad)).toBe("TOKEN_INVALID");
  }
  expect(await outcome(guard, await issuer.sign("ann", { lifeS: -10 }))).toBe("TOKEN_EXPIRED");
});

test("a session that ended elsewhere is refused within milliseconds, though its answer was kept", async () => {
  const guard = await openGuard();
  const id = await addUser();
  const ends: ((session: { sessionId: string }) => Promise<unknown>)[] = [
    ({ sessionId }) => userlock.sessions.deleteSession({ sessionId }),
    () => userlock.sessions.deleteSessions({ id }),
    () => userlock.users.setPassword({ id, newPassword: { type: { case: "password", value: PASSWORD } } }),
    () => userlock.users.lockUser({ id, reason: "fraud" }).then(() => userlock.users.unlockUser({ id })),
  ];
  for (const end of ends) {
    const session = await logIn(id);
    const { sessionToken } = session;
    expect(await guard.check(sessionToken)).toMatchObject({ ok: true, identity: { subject: id } });
    await end(session);
    await eventually(async () => (await outcome(guard, sessionToken)) === "TOKEN_INVALID", 5_000);
    expect(await outcome(guard, sessionToken)).toBe("TOKEN_INVALID");
  }
});

test("listeners hear of locks and unlocks, also of an app's own, until they are removed", async () => {
  const guard = await openGuard();
  const heard: string[] = [];
  const off = guard.on("locked", ({ userId, cause, until }) => heard.push(`${userId} ${cause} ${until !== undefined}`));
  guard.on("unlocked", ({ userId }) => heard.push(`${userId} unlocked`));
  const id = await addUser();
  await userlock.users.lockUser({ id, reason: "fraud", end: { case: "duration", value: { seconds: 600n } } });
  await eventually(() => guard.isDenied(id));
  expect(guard.checkSubject(id)).toEqual({ ok: false, reason: "USER_DENIED", subject: id });
  await userlock.users.unlockUser({ id });
  await eventually(() => !guard.isDenied(id));
  expect(guard.checkSubject(id)).toEqual({ ok: true, identity: { subject: id } });
  off();
  await userlock.users.lockUser({ id, reason: "fraud" });
  await eventually(() => guard.isDenied(id));
  expect(heard).toEqual([`${id} locked true`, `${id} unlocked`]);
});

test("a guard is not ready without the right to watch, and refuses everything", async () => {
  const guard = createGuard({ url: server.url, token: "wrong", jwt: issuer.jwt, whenStale: "deny" });
  await expect(guard.ready).rejects.toMatchObject({ reason: "TOKEN_INVALID" });
  expect(await outcome(guard, await issuer.sign("ann"))).toBe("UNAVAILABLE");
  guard.close();
});

test("a closed guard refuses everything", async () => {
  const guard = await openGuard();
  const jwt = await issuer.sign("ann");
  expect(await outcome(guard, jwt)).toBe("ok");
  guard.close();
  expect(await outcome(guard, jwt)).toBe("UNAVAILABLE");
  expect(guard.checkSubject("ann")).toMatchObject({ reason: "UNAVAILABLE" });
});

/** Runs the program in a process of its own. */
function run(program: string) {
  const args = ["--input-type=module-typescript", "--disable-warning=ExperimentalWarning", "--eval", program];
  return runCommand(process.execPath, args, [], { timeoutMs: 15_000 });
}

test("a program that closes its guard ends by itself, because no socket and no timer is left", async () => {
  const jwt = await issuer.sign("ann");
  const program = `
    import { createGuard } from "./packages/client/src/guard/guard.ts";
    const guard = createGuard(${JSON.stringify({ url: server.url, token, jwt: issuer.jwt, introspect: true })});
    await guard.ready;
    console.log((await guard.check(${JSON.stringify(jwt)})).ok, (await guard.check("userlock_session_none")).reason);
    guard.close();
    console.log("closed");`;
  expect(await run(program)).toEqual({ code: 0, stdout: "true TOKEN_INVALID\nclosed\n", stderr: "" });
});

test("a program waits for its guard while the server is away, and ends once the guard is closed", async () => {
  const program = `
    import { createGuard } from "./packages/client/src/guard/guard.ts";
    const guard = createGuard({ url: "http://127.0.0.1:1", token: "a", introspect: true });
    setTimeout(() => guard.close(), 1_000).unref();
    await guard.ready.catch(({ message }) => console.log(message));`;
  expect(await run(program)).toEqual({ code: 0, stdout: "the guard is closed\n", stderr: "" });
});

test("a program ends once its guard is refused, because nothing waits for it any more", async () => {
  const program = `
    import { createGuard } from "./packages/client/src/guard/guard.ts";
    const guard = createGuard(${JSON.stringify({ url: server.url, token: "wrong", introspect: true })});
    await guard.ready.catch(({ reason }) => console.log(reason));`;
  expect(await run(program)).toEqual({ code: 0, stdout: "TOKEN_INVALID\n", stderr: "" });
});

describe("when the server is silent for maxStaleMs", () => {
  const maxStaleMs = 400;

  async function behindRelay(options: Partial<GuardOptions>) {
    const relay = await startRelay({ host: "127.0.0.1", port: Number(new URL(server.url).port) });
    const seen: string[] = [];
    // The streams are fresh until the server's first silence. Calls go through the same relay.
    const guard = await openGuard({
      url: `http://${relay.address}`,
      maxStaleMs,
      onStale: () => seen.push("stale"),
      onDenied: ({ subject }) => seen.push(`denied ${subject}`),
      timeoutMs: 300,
      ...options,
    });
    return { relay, guard, seen };
  }

  test("the policy 'introspect' asks the server about each token", async () => {
    const { relay, guard, seen } = await behindRelay({});
    const id = await addUser();
    const [jwt, { sessionToken }] = [await issuer.sign(id), await logIn(id)];
    await eventually(() => !guard.isFresh && seen.includes("stale"));
    expect([await outcome(guard, jwt), await outcome(guard, sessionToken)]).toEqual(["ok", "ok"]);
    await userlock.users.deactivateUser({ id });
    // Whether the stream has told it or not.
    expect(["TOKEN_INVALID", "USER_DENIED"]).toContain(await outcome(guard, jwt));
    expect(["TOKEN_INVALID", "USER_DENIED"]).toContain(await outcome(guard, sessionToken));
    guard.close();
    await relay.stop();
  });

  test.each([
    ["introspect", ["UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE"]],
    ["deny", ["UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE"]],
    ["allow", ["ok", "USER_DENIED", "UNAVAILABLE"]],
  ] as const)("and away, the policy '%s' decides about JWTs, and no session is let in", async (whenStale, expected) => {
    const { relay, guard, seen } = await behindRelay({ whenStale });
    const [id, locked] = [await addUser(), await addUser()];
    await userlock.users.lockUser({ id: locked, reason: "fraud" });
    const tokens = [await issuer.sign(id), await issuer.sign(locked), (await logIn(id)).sessionToken];
    await eventually(() => guard.isDenied(locked));
    await relay.stop();
    await eventually(() => !guard.isFresh);
    expect(await Promise.all(tokens.map((each) => outcome(guard, each)))).toEqual(expected);
    expect(seen).toContain("stale");
    guard.close();
  });
});

test("a guard whose clock is minutes off ends a timed lock when the server does, and not before", async () => {
  const id = await addUser();
  const jwt = await issuer.sign(id);
  const now = Date.now;
  const shift = { ms: 0 };
  Date.now = () => now() + shift.ms;
  try {
    for (const ms of [600_000, -600_000]) {
      shift.ms = ms;
      const guard = await openGuard();
      const start = performance.now();
      await userlock.users.lockUser({ id, reason: "fraud", end: { case: "duration", value: { seconds: 2n } } });
      await eventually(() => guard.isDenied(id));
      await sleep(500);
      expect(await outcome(guard, jwt)).toBe("USER_DENIED");
      await eventually(async () => (await outcome(guard, jwt)) === "ok");
      const tookMs = performance.now() - start;
      expect(tookMs).toBeGreaterThan(1_900);
      expect(tookMs).toBeLessThan(9_000);
      guard.close();
      await eventually(async () => (await userlock.users.getUser({ id })).user?.lock === undefined);
    }
  } finally {
    Date.now = now;
  }
});

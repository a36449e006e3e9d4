// Proves which calls have a line in the log, what the line has, and that nobody can fill the log.
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import type { AccessLog } from "../../../src/log.ts";
import { LINES, observeLog } from "../../../src/observe/log/access-log.ts";
import type { ObservedCall } from "../../../src/rpc/observer.ts";
import { change } from "../../support/stores/appends.ts";

type Line = Record<string, unknown> & { msg: string };

const BARE = {
  system: "grpc",
  requestId: "r1",
  address: "192.0.2.1",
  verb: "POST",
  scheme: "http",
  traceparent: undefined,
  tracestate: undefined,
} as const;

let lines: Line[];
let closing: { close(): void }[];
beforeEach(() => {
  lines = [];
  closing = [];
});
afterEach(() => {
  for (const { close } of closing) close();
});

function open(mode: AccessLog, windowMs?: number) {
  const add = (fields: object, msg: string) => lines.push({ ...(JSON.parse(JSON.stringify(fields)) as object), msg });
  const observers = observeLog({ log: { line: add, warn: add as never }, mode, ...(windowMs && { windowMs }) });
  closing.push(observers);
  const [calls] = observers.calls;
  const call = (more: Partial<ObservedCall>) => calls?.ended({ ...BARE, started: performance.now(), ...more });
  return { ...observers, call };
}

const { lockUser, getUser } = UserService.method;
const caller = { principal: { subject: "ops", grants: [] }, actor: { subject: "ops", requestId: "r1" } };
const lock = { method: lockUser, isChanging: true, ...caller };
const read = { method: getUser, isChanging: false, ...caller };
const failed = (reason: string, code: Code = Code.FAILED_PRECONDITION) =>
  ({ error: { reason, code } }) as Pick<ObservedCall, "error">;
const refused = failed("TOKEN_INVALID", Code.UNAUTHENTICATED);

test.each([
  ["off", []],
  ["errors", ["GetUser NOT_FOUND", "LockUser FAILED_PRECONDITION"]],
  ["changes", ["LockUser OK", "LockUser FAILED_PRECONDITION"]],
  ["all", ["GetUser OK", "GetUser NOT_FOUND", "LockUser OK", "LockUser FAILED_PRECONDITION"]],
] as const)("with %s these calls have a line: %j", (mode, expected) => {
  const { call } = open(mode);
  call(read);
  call({ ...read, ...failed("USER_NOT_FOUND", Code.NOT_FOUND) });
  call(lock);
  call({ ...lock, ...failed("USER_ALREADY_LOCKED") });
  // Not a call: a probe.
  call({});
  expect(lines.map(({ method, code }) => `${String(method).split("/")[1]} ${code}`)).toEqual(expected);
});

test("a line names method, code, reason, caller, user, address, time, request and trace", () => {
  const { call } = open("changes");
  const request = { id: "mallory" } as never;
  call({ ...lock, ...failed("USER_ALREADY_LOCKED"), request, traceId: "7d3a" });
  expect(lines).toEqual([
    {
      method: "userlock.v3alpha.UserService/LockUser",
      system: "grpc",
      code: "FAILED_PRECONDITION",
      reason: "USER_ALREADY_LOCKED",
      caller: "ops",
      user: "mallory",
      address: "192.0.2.1",
      durationMs: expect.any(Number),
      requestId: "r1",
      traceId: "7d3a",
      msg: "call",
    },
  ]);
});

test.each([
  failed("USER_NOT_FOUND", Code.NOT_FOUND),
  failed("PERMISSION_MISSING", Code.PERMISSION_DENIED),
  failed("LOGIN_FAILED", Code.UNAUTHENTICATED),
  failed("STORE_UNAVAILABLE", Code.UNAVAILABLE),
])("an id is not logged if it may name nobody: $error.reason", (error) => {
  open("all").call({ ...lock, ...error, request: { id: "a-token-as-an-id" } as never });
  expect(lines).toHaveLength(1);
  expect(JSON.stringify(lines)).not.toContain("a-token");
});

test("a login by name has the user whose session was opened", () => {
  const { call, onAppend } = open("changes");
  const { actor } = caller;
  onAppend(change("u7", { actor, userId: "u7", events: [{ type: "user.login_succeeded", data: {} }] }), "appended");
  onAppend(change("s1", { actor, userId: "u7", events: [{ type: "session.opened", data: {} }] }), "appended");
  const request = { user: { case: "loginName", value: "a-login-name" } } as never;
  call({ ...lock, method: SessionService.method.createSession, request });
  expect(lines[0]?.user).toBe("u7");
});

test("a change of many users has their number, without those that another change came before", () => {
  const { call, onAppend } = open("changes");
  const { actor } = caller;
  for (const id of ["u1", "u2", "u3"]) onAppend(change(id, { actor, userId: id }), "appended");
  onAppend(change("u4", { actor, userId: "u4" }), "conflict");
  call(lock);
  expect(lines[0]).toMatchObject({ users: 3 });
  expect(lines[0]).not.toHaveProperty("user");
});

test.each(["off", "changes", "all"] as const)("with %s, refused tokens in bulk are one line with a count", (mode) => {
  const { call, close } = open(mode);
  for (let index = 0; index < 5_000; index++) {
    call({ method: lockUser, isChanging: true, ...refused, address: index % 4 === 0 ? "192.0.2.1" : "192.0.2.9" });
  }
  call({ method: lockUser, isChanging: true, ...failed("TOKEN_MISSING", Code.UNAUTHENTICATED) });
  expect(lines).toHaveLength(mode === "off" ? 0 : 10);
  close();
  expect(lines.filter(({ msg }) => msg === LINES.refusedTokens)).toEqual([
    {
      count: 5_001,
      reasons: { TOKEN_INVALID: 5_000, TOKEN_MISSING: 1 },
      addresses: 2,
      address: "192.0.2.9",
      msg: LINES.refusedTokens,
    },
  ]);
});

test("a burst of failed logins is one line with the outcomes, and its calls have ten lines", () => {
  const { call, onLogin, close } = open("changes");
  for (let index = 0; index < 300; index++) {
    onLogin(index % 3 === 0 ? "unknown_user" : "wrong_password");
    call({ ...lock, ...failed("LOGIN_FAILED", Code.UNAUTHENTICATED) });
  }
  onLogin("ok");
  close();
  expect(lines).toHaveLength(11);
  expect(lines[10]).toEqual({
    count: 300,
    outcomes: { wrong_password: 200, unknown_user: 100 },
    msg: LINES.failedLogins,
  });
});

test("a few refused tokens and failed logins make no line with a count", () => {
  const { call, onLogin, close } = open("off");
  for (let index = 0; index < 10; index++) {
    call({ method: lockUser, ...refused });
    onLogin("wrong_password");
  }
  close();
  expect(lines).toEqual([]);
});

test("a caller whose calls all fail has a hundred lines and one with a count, and others have theirs", () => {
  const { call, close } = open("changes");
  for (let index = 0; index < 400; index++) call({ ...lock, ...failed("USER_ALREADY_LOCKED") });
  call({ ...lock, ...failed("USER_ALREADY_LOCKED"), principal: { subject: "other", grants: [] } });
  close();
  expect(lines).toHaveLength(102);
  expect(lines[100]).toMatchObject({ caller: "other" });
  expect(lines[101]).toEqual({
    caller: "ops",
    count: 400,
    reasons: { USER_ALREADY_LOCKED: 400 },
    msg: LINES.failedCalls,
  });
});

test("an automatic lock has a line, many have sixty and one with a count, and manual locks have none", () => {
  const { onAppend, close } = open("off");
  const actor = { subject: "page", address: "192.0.2.1", requestId: "r2" };
  const events = (cause: string) => [{ type: "user.locked", data: { cause } }];
  onAppend(change("u0", { actor, events: events("manual") }), "appended");
  onAppend(change("u0", { actor, events: events("password_failures") }), "conflict");
  for (let index = 1; index <= 500; index++) {
    onAppend(change(`u${index}`, { actor, events: events("password_failures") }), "appended");
  }
  close();
  expect(lines).toHaveLength(61);
  expect(lines[0]).toEqual({ user: "u1", address: "192.0.2.1", requestId: "r2", msg: LINES.autoLock });
  expect(lines[60]).toEqual({ count: 500, msg: LINES.autoLocks });
});

test("the count comes at the end of each window, and the next window has lines again", async () => {
  const { call } = open("all", 30);
  for (const window of [1, 2]) {
    for (let index = 0; index < 20; index++) call({ method: getUser, ...refused });
    while (lines.length < 11 * window) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(lines.filter(({ msg }) => msg === LINES.refusedTokens).map(({ count }) => count)).toEqual([20, 20]);
});

test("strangers with many addresses take bounded memory", () => {
  const { call, close } = open("off");
  for (let index = 0; index < 3_000; index++) call({ method: getUser, ...refused, address: `2001:db8::${index}` });
  close();
  expect(lines[0]).toMatchObject({ count: 3_000, addresses: 1_001 });
});

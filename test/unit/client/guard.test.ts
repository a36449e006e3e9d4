// Proves what a guard answers while things go wrong: it closes, its set comes and goes, or functions of the app throw.
import { createServer } from "node:http";
import { createGuard, type Guard, type GuardOptions } from "../../../packages/client/src/guard/guard.ts";
import { eventually } from "../../support/client/eventually.ts";
import { type FakeServer, startFakeServer } from "../../support/client/fake-server.ts";
import { type Issuer, startIssuer } from "../../support/client/issuer.ts";

let issuer: Issuer;
let server: FakeServer;
let closing: AbortController;

beforeAll(async () => {
  issuer = await startIssuer();
});
afterAll(() => issuer.stop());
beforeEach(async () => {
  server = await startFakeServer();
  closing = new AbortController();
});
afterEach(async () => {
  closing.abort();
  await server.stop();
});

const open = (options: Partial<GuardOptions> = {}): Guard =>
  createGuard({ url: server.url, token: "a", jwt: issuer.jwt, introspect: true, signal: closing.signal, ...options });

/** "ok" or the reason of the refusal. */
const outcome = async (guard: Guard, token: string | undefined) => {
  const verdict = await guard.check(token);
  return verdict.ok ? "ok" : verdict.reason;
};

/** Holds the server's answers until the returned function is called. */
function hold(): () => void {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  server.hold = () => held;
  return release;
}

const SESSION = "userlock_session_ann";

describe("a check that runs while the guard closes is UNAVAILABLE", () => {
  test.each([
    ["a new JWT, whose keys are fetched", async () => issuer.jwt.jwks],
    ["a new JWT, whose signature is verified", async () => (await fetch(issuer.jwt.jwks)).json()],
  ])("of %s", async (_, jwks) => {
    const guard = open({ jwt: { ...issuer.jwt, jwks: await jwks() } });
    server.sendSnapshot();
    await guard.ready;
    const running = outcome(guard, await issuer.sign("ann"));
    guard.close();
    expect(await running).toBe("UNAVAILABLE");
  });

  test("of a session, and of a JWT that the server is asked about", async () => {
    const guard = open();
    const release = hold();
    const jwt = await issuer.sign("ann");
    const running = [outcome(guard, SESSION), outcome(guard, jwt)];
    await eventually(() => server.introspected === 1 && server.authorized === 1);
    guard.close();
    release();
    expect(await Promise.all(running)).toEqual(["UNAVAILABLE", "UNAVAILABLE"]);
  });

  test("and so is every later one, whatever it has", async () => {
    const guard = open();
    server.sendSnapshot("bob");
    await guard.ready;
    const tokens = [await issuer.sign("ann"), await issuer.sign("bob"), SESSION, "bad", "", undefined];
    const before = ["ok", "USER_DENIED", "ok", "TOKEN_INVALID", "TOKEN_MISSING", "TOKEN_MISSING"];
    expect(await Promise.all(tokens.map((each) => outcome(guard, each)))).toEqual(before);
    guard.close();
    expect(await Promise.all(tokens.map((each) => outcome(guard, each)))).toEqual(tokens.map(() => "UNAVAILABLE"));
    expect(guard.checkSubject("ann")).toMatchObject({ reason: "UNAVAILABLE" });
    expect(guard.isFresh).toBe(false);
  });
});

describe("while the set of denied users is not current", () => {
  test.each(["JWT", "session"])("no call of a %s gets the answer to a question from before it", async (kind) => {
    const guard = open();
    const token = kind === "JWT" ? await issuer.sign("ann") : SESSION;
    const asked = () => server.authorized + server.introspected;
    await eventually(() => server.watching === 1);
    const release = hold();
    const early = outcome(guard, token);
    await eventually(() => asked() === 1);
    server.locked.add("ann");
    const late = outcome(guard, token);
    await eventually(() => asked() === 2);
    release();
    expect([await early, await late]).toEqual(["ok", "TOKEN_INVALID"]);
  });

  test.each(["JWT", "session"])(
    "at most 1,000 checks of a %s wait for the server, and further ones are UNAVAILABLE",
    async (kind) => {
      const guard = open({ timeoutMs: 60_000 });
      const token = kind === "JWT" ? await issuer.sign("ann") : SESSION;
      const release = hold();
      const all = Array.from({ length: 1_001 }, () => outcome(guard, token));
      expect(await Promise.race(all)).toBe("UNAVAILABLE");
      release();
      const outcomes = await Promise.all(all);
      expect(outcomes.filter((each) => each === "UNAVAILABLE")).toHaveLength(1);
      expect(new Set(outcomes)).toEqual(new Set(["ok", "UNAVAILABLE"]));
    },
  );

  test("an answer is judged by the set, if that has become current meanwhile", async () => {
    const denied: (string | undefined)[] = [];
    const guard = open({ onDenied: ({ subject }) => denied.push(subject), timeoutMs: 400 });
    const tokens = [await issuer.sign("ann"), await issuer.sign("bob")];
    const release = hold();
    const answered = tokens.map((each) => outcome(guard, each));
    await eventually(() => server.authorized === 2);
    server.sendSnapshot("ann");
    await guard.ready;
    release();
    expect(await Promise.all(answered)).toEqual(["USER_DENIED", "ok"]);
    expect(denied).toEqual(["ann"]);
  });

  test("the set that has become current decides, too, if no answer comes", async () => {
    const guard = open({ timeoutMs: 300 });
    hold();
    const unanswered = outcome(guard, await issuer.sign("bob"));
    await eventually(() => server.authorized === 1);
    server.sendSnapshot("ann");
    expect(await unanswered).toBe("ok");
  });
});

test("a token that does not begin like one of a session is refused without a question", async () => {
  const guard = open();
  for (const token of ["userlock_abc", "session", `x${SESSION}`, "a.b"]) {
    expect(await outcome(guard, token)).toBe("TOKEN_INVALID");
  }
  expect(server.introspected).toBe(0);
  expect(await outcome(guard, SESSION)).toBe("ok");
  expect(server.introspected).toBe(1);
});

test("nobody can change the identity of a JWT for the next call", async () => {
  const guard = open();
  server.sendSnapshot();
  await guard.ready;
  const deep = JSON.parse(`${"[".repeat(3_000)}${"]".repeat(3_000)}`);
  const jwt = await issuer.sign("ann", {
    claims: { groups: ["users"], realm: { access: { roles: ["reader"] } }, deep },
  });
  const verdict = await guard.check(jwt);
  if (!verdict.ok) throw new Error(verdict.reason);
  const { claims, expires } = verdict.identity;
  const { groups, realm } = claims as { groups: string[]; realm: { access: { roles: string[] } } };
  expect(() => groups.push("admins")).toThrow(TypeError);
  expect(() => realm.access.roles.push("writer")).toThrow(TypeError);
  expect(() => Object.assign(realm.access, { extra: 1 })).toThrow(TypeError);
  const time = expires?.getTime();
  expires?.setTime(0);
  const again = await guard.check(jwt);
  expect(again).toMatchObject({ ok: true, identity: { subject: "ann", claims: { groups: ["users"] } } });
  expect(again.ok && again.identity.expires?.getTime()).toBe(time);
});

test("functions and listeners of the app that throw change no verdict and end no stream", async () => {
  const { queueMicrotask } = globalThis;
  const uncaught: unknown[] = [];
  globalThis.queueMicrotask = (task) =>
    queueMicrotask(() => {
      try {
        task();
      } catch (error) {
        uncaught.push(error);
      }
    });
  const fail = (name: string) => () => {
    throw name;
  };
  try {
    const guard = open({
      maxStaleMs: 100,
      whenStale: "allow",
      onDenied: fail("onDenied"),
      onStale: fail("onStale"),
      onError: fail("onError"),
    });
    guard.on("fresh", fail("fresh"));
    server.sendSnapshot("ann");
    await guard.ready;
    expect(await outcome(guard, await issuer.sign("ann"))).toBe("USER_DENIED");
    expect(guard.checkSubject("ann")).toMatchObject({ reason: "USER_DENIED" });
    await eventually(() => uncaught.includes("onStale"));
    // The follower opens the stream again after each end.
    await eventually(() => {
      server.cut();
      return uncaught.filter((each) => each === "onError").length > 1;
    });
    await eventually(() => {
      server.send({ cursor: "2" });
      return guard.isFresh;
    });
    expect(new Set(uncaught)).toEqual(new Set(["onDenied", "onStale", "onError", "fresh"]));
  } finally {
    globalThis.queueMicrotask = queueMicrotask;
  }
});

test.each([
  ["rejects", () => Promise.reject(new Error("no file"))],
  ["returns no token", () => undefined as unknown as string],
  ["never settles", () => new Promise<string>(() => {})],
])("a function of the token that %s leaves the guard without an answer within timeoutMs", async (_, token) => {
  const errors: unknown[] = [];
  const options = { token, timeoutMs: 100, onError: (error: unknown) => errors.push(error) };
  const guard = createGuard(
    { url: server.url, introspect: true, signal: closing.signal, ...options },
    { silenceMs: 100 },
  );
  expect(await outcome(guard, SESSION)).toBe("UNAVAILABLE");
  await eventually(() => errors.length > 1);
});

test("a guard with invalid options opens no stream", async () => {
  let requests = 0;
  const watched = createServer(() => requests++).listen(0, "127.0.0.1");
  await new Promise((resolve) => watched.once("listening", resolve));
  const url = `http://127.0.0.1:${(watched.address() as { port: number }).port}`;
  const jwt = { ...issuer.jwt, issuer: "" };
  expect(() => createGuard({ url, token: "a", introspect: true, jwt })).toThrow(TypeError);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(requests).toBe(0);
  watched.close();
});

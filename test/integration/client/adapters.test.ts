// Proves that each framework refuses and admits calls as the guard says, behind a real server.

import { createGuard, type Guard } from "../../../packages/client/src/guard/guard.ts";
import { createUserlock, type Userlock } from "../../../packages/client/src/index.ts";
import { createFakeGuard } from "../../../packages/client/src/testing.ts";
import { eventually } from "../../support/client/eventually.ts";
import { APPS, type AppAnswer, COOKIE } from "../../support/client/frameworks.ts";
import { type Issuer, startIssuer } from "../../support/client/issuer.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

let issuer: Issuer;
let server: ServerProcess;
let userlock: Userlock;
let guard: Guard;

beforeAll(async () => {
  issuer = await startIssuer();
  server = await startServer(issuer.settings);
  userlock = createUserlock({ url: server.url, token: ADMIN_TOKEN });
  guard = createGuard({ url: server.url, token: ADMIN_TOKEN, jwt: issuer.jwt });
  await guard.ready;
});
afterAll(async () => {
  guard.close();
  userlock.close();
  await server.stop();
  await issuer.stop();
});

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const admitted = (subject: string): AppAnswer => ({ status: 200, subject, challenge: null, retryAfter: null });
const refused: AppAnswer = { status: 401, challenge: 'Bearer error="invalid_token"', retryAfter: null };

describe.each(APPS)("an app of %s", (name, start) => {
  test("admits a good token in the header or the cookie, and refuses others with a challenge", async () => {
    const app = await start(guard);
    const jwt = await issuer.sign("ann");
    expect(await app.call({})).toEqual({ ...refused, challenge: "Bearer" });
    expect(await app.call(bearer("bad"))).toEqual(refused);
    expect(await app.call({ authorization: `Basic ${jwt}` })).toEqual(refused);
    expect(await app.call(bearer(jwt))).toEqual(admitted("ann"));
    expect(await app.call({ authorization: `bearer  ${jwt}` })).toEqual(admitted("ann"));
    expect(await app.call({ cookie: `a=b; ${COOKIE}=${jwt}; c=d` })).toEqual(admitted("ann"));
    expect(await app.call({ cookie: `not-${COOKIE}=${jwt}` })).toEqual({ ...refused, challenge: "Bearer" });
    // A bad header is not made good by a cookie.
    expect(await app.call({ ...bearer("bad"), cookie: `${COOKIE}=${jwt}` })).toEqual(refused);
    await app.close();
  });

  test("refuses a user from the lock to the unlock, in the words of a bad token", async () => {
    const app = await start(guard);
    const id = `user-of-${name.replaceAll(" ", "-")}`;
    await userlock.users.createUser({ user: { userId: id } });
    const headers = bearer(await issuer.sign(id));
    expect(await app.call(headers)).toEqual(admitted(id));
    await userlock.users.lockUser({ id, reason: "fraud" });
    await eventually(() => guard.isDenied(id));
    expect(await app.call(headers)).toEqual(refused);
    await userlock.users.unlockUser({ id });
    await eventually(() => !guard.isDenied(id));
    expect(await app.call(headers)).toEqual(admitted(id));
    await app.close();
  });

  test("answers 503 with Retry-After while nobody can decide", async () => {
    const stale = createGuard({ url: "http://127.0.0.1:1", token: "a", jwt: issuer.jwt, whenStale: "deny" });
    const app = await start(stale);
    const answer = await app.call(bearer(await issuer.sign("ann")));
    expect(answer).toEqual({ status: 503, challenge: null, retryAfter: "1" });
    stale.close();
    await app.close();
  });

  test("can be tested with a fake guard, which locks without a server", async () => {
    const fake = createFakeGuard();
    const app = await start(fake);
    const heard: string[] = [];
    fake.on("locked", ({ userId }) => heard.push(userId));
    expect(await app.call(bearer("ann"))).toEqual(admitted("ann"));
    fake.lock("ann");
    expect(await app.call(bearer("ann"))).toEqual(refused);
    fake.unlock("ann");
    fake.setStale(true);
    expect(await app.call(bearer("ann"))).toMatchObject({ status: 503 });
    fake.setStale(false);
    expect(await app.call(bearer("ann"))).toEqual(admitted("ann"));
    expect(heard).toEqual(["ann"]);
    await app.close();
  });
});

test("an app of grpc-js ends a call with UNAVAILABLE if the check rejects, so that it does not wait for ever", async () => {
  const [, start] = APPS.find(([name]) => name === "grpc-js") as (typeof APPS)[number];
  const app = await start({ ...createFakeGuard(), check: () => Promise.reject(new Error("broken")) });
  expect(await app.call(bearer("ann"))).toEqual({ status: 503, challenge: null, retryAfter: "1" });
  await app.close();
});

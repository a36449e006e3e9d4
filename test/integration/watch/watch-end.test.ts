// Proves that a watch ends when its caller loses the right to it.
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../../support/access.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { addUser, asOwner, ok } from "../../support/logins.ts";
import {
  ADMIN_TOKEN,
  QUICK,
  type ServerProcess,
  startServer,
  temporaryFolder,
} from "../../support/servers/server-process.ts";
import { SHARED_KEY } from "../../support/stores/stores.ts";
import { type EventStream, openWatchDoors, WATCH_DOORS, type WatchDoor } from "../../support/watch/watch-doors.ts";

const { lockUser, unlockUser, deactivateUser } = UserService.method;

/** Milliseconds. */
const HEARTBEAT_MS = 500;
const MAX_WATCHERS = 12;
const MAX_WATCHERS_PER_CALLER = 6;
/** The limit for a stream that an event ends, in milliseconds. A clock would end it much later. */
const AT_ONCE_MS = 20_000;
/** The limit for a stop, in milliseconds. A stop that waited for calls would take ten seconds. */
const AT_STOP_MS = 8_000;
const CALL_MS = 1_500;

const folder = temporaryFolder();
/** A server with rare heartbeats, so only an event ends a stream in time. */
let server: ServerProcess;
/** Another server of the same store, with frequent heartbeats. */
let beating: ServerProcess;
let rest: Door;
let doors: WatchDoor[];
let beatingDoors: WatchDoor[];
let tokens: ReturnType<typeof tokenMaker>;
let signer: CryptoKey;
let streams: EventStream[] = [];

const settings = {
  ...SHARED_KEY,
  USERLOCK_STORE: `sqlite:${folder.file("userlock.db")}`,
  USERLOCK_JWT_ISSUER: "https://issuer.example.com",
  USERLOCK_JWT_AUDIENCE: "userlock",
  USERLOCK_JWKS: folder.file("jwks.json"),
};

async function start() {
  const places = { watchers: MAX_WATCHERS, watchersPerCaller: MAX_WATCHERS_PER_CALLER };
  server = await startServer(settings, { heartbeatMs: 10 * AT_ONCE_MS, ...places, callMs: CALL_MS, warmUp: true });
  rest = openDoors(server.url)[0]!;
  doors = openWatchDoors(server.url);
  tokens = tokenMaker(server.url, ADMIN_TOKEN);
}

beforeAll(async () => {
  const keys = await generateKeyPair("ES256");
  signer = keys.privateKey;
  const published = { keys: [{ ...(await exportJWK(keys.publicKey)), kid: "key", alg: "ES256" }] };
  writeFileSync(folder.file("jwks.json"), JSON.stringify(published));
  await start();
  beating = await startServer(settings, { ...QUICK, heartbeatMs: HEARTBEAT_MS });
  beatingDoors = openWatchDoors(beating.url);
});

afterEach(async () => {
  for (const stream of streams) stream.cancel();
  await Promise.all(streams.map(({ ended }) => ended));
  streams = [];
  // Waits until the server knows the key too.
  await sleep(100);
});

afterAll(async () => {
  for (const door of [...(doors ?? []), ...(beatingDoors ?? [])]) door.close();
  await server?.stop();
  await beating?.stop();
  folder.remove();
});

/** A JWT of the user with the right to watch. */
const jwtOf = (sub: string, seconds = 300) =>
  new SignJWT({ roles: ["INSTANCE_VIEWER"] })
    .setProtectedHeader({ alg: "ES256", kid: "key" })
    .setIssuer("https://issuer.example.com")
    .setAudience("userlock")
    .setSubject(sub)
    .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
    .sign(signer);

let users = 0;
const newUser = () => addUser(rest, { id: `u${++users}`, password: "" });
const lock = (id: string, more: object = {}) => rest.call(lockUser, { id, ...more }, asOwner).then(ok);

describe.each(WATCH_DOORS)("a watch over %s", (name) => {
  async function watchThrough(all: WatchDoor[], how: Parameters<WatchDoor["watch"]>): Promise<EventStream> {
    const stream = all.find((door) => door.name === name)!.watch(...how);
    streams.push(stream);
    await stream.received(1);
    return stream;
  }
  const watch = (...how: Parameters<WatchDoor["watch"]>) => watchThrough(doors, how);
  const watchBeating = (...how: Parameters<WatchDoor["watch"]>) => watchThrough(beatingDoors, how);

  test("ends with the revocation of its token, and other watches continue", async () => {
    const { id, secret: token } = await tokens.create("gateway", ["GATEWAY"]);
    const [stream, other] = [await watch({}, { token }), await watch()];
    await newUser();
    await stream.happened(1);
    const started = performance.now();
    await tokens.revoke(id);
    await newUser();
    expect(await stream.ended).toEqual({ code: "UNAUTHENTICATED", reason: "TOKEN_INVALID" });
    expect(performance.now() - started).toBeLessThan(AT_ONCE_MS);
    await other.happened(3);
    expect(other.events().map(({ type }) => type)).toEqual(["user.created", "token.revoked", "user.created"]);
    expect(stream.events()).toEqual(other.events().slice(0, 1));
  });

  test.each<[string, (id: string) => Promise<unknown>]>([
    ["locked", (id) => lock(id)],
    ["deactivated", (id) => rest.call(deactivateUser, { id }, asOwner).then(ok)],
  ])("ends for the token and the JWT of a user who is %s", async (_what, change) => {
    const id = await newUser();
    const { secret } = await tokens.create(id, ["INSTANCE_VIEWER"]);
    const both = [await watch({}, { token: secret }), await watch({}, { token: await jwtOf(id) })];
    const started = performance.now();
    await change(id);
    for (const stream of both) {
      expect(await stream.ended).toEqual({ code: "UNAUTHENTICATED", reason: "TOKEN_INVALID" });
      expect(stream.events()).toEqual([]);
    }
    expect(performance.now() - started).toBeLessThan(AT_ONCE_MS);
  });

  test("continues for a user who was unlocked before the watch began", async () => {
    const id = await newUser();
    await lock(id, { end: { case: "duration", value: { nanos: 1_000 } } });
    const { secret: token } = await tokens.create(id, ["INSTANCE_VIEWER"]);
    const stream = await watchBeating({ userIds: [id] }, { token });
    await rest.call(unlockUser, { id }, asOwner);
    await sleep(HEARTBEAT_MS);
    await newUser();
    stream.cancel();
    expect(await stream.ended).toEqual({ code: "OK", reason: undefined });
  });

  test("ends by the next heartbeat after its token expires", async () => {
    const token = await tokens.createExpiring("gateway", 2_000);
    const stream = await watchBeating({}, { token });
    expect(await stream.ended).toEqual({ code: "UNAUTHENTICATED", reason: "TOKEN_EXPIRED" });
  });

  test("ends at the client's own deadline and not at the time limit of calls", async () => {
    const [bounded, unbounded] = [await watch({}, { timeoutMs: 2 * CALL_MS }), await watch()];
    const started = performance.now();
    expect(await bounded.ended).toMatchObject({ code: "DEADLINE_EXCEEDED" });
    expect(performance.now() - started).toBeLessThan(AT_ONCE_MS);
    await newUser();
    await unbounded.happened(1);
  });

  test("is refused above the caller's limit or share, and other callers still get places", async () => {
    const { secret: token } = await tokens.create(`gateway-${name.replaceAll(" ", "-")}`, ["INSTANCE_VIEWER"]);
    const door = doors.find((each) => each.name === name)!;
    const tooMany = { code: "RESOURCE_EXHAUSTED", reason: "TOO_MANY_REQUESTS" };
    const own = await Promise.all(Array.from({ length: MAX_WATCHERS_PER_CALLER }, () => watch()));
    expect(await door.watch().ended).toEqual(tooMany);
    // The other caller gets half of the remaining places.
    for (let others = 0; others < (MAX_WATCHERS - own.length) / 2; others++) await watch({}, { token });
    expect(await door.watch({}, { token }).ended).toEqual(tooMany);
    own[0]!.cancel();
    await own[0]!.ended;
    await sleep(100);
    // The freed place is shared by the same rule.
    await watch({}, { token });
  });

  test("ends with UNAVAILABLE when the server stops", async () => {
    const stream = await watch();
    const started = performance.now();
    const exit = server.stop();
    expect(await stream.ended).toEqual({ code: "UNAVAILABLE", reason: "SHUTTING_DOWN" });
    for (const door of doors) door.close();
    expect(await exit).toBe(0);
    expect(performance.now() - started).toBeLessThan(AT_STOP_MS);
    expect(server.stderr()).not.toMatch(/"level":"(error|warn)"/);
    await start();
  });
});

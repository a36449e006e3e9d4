// Proves that a guard has the server's set of locked users after thousands of changes and many cut connections.
import { setTimeout as sleep } from "node:timers/promises";
import { createGuard } from "../../../packages/client/src/guard/guard.ts";
import { createUserlock, State, type Userlock } from "../../../packages/client/src/index.ts";
import { eventually } from "../../support/client/eventually.ts";
import { ADMIN_TOKEN, startServer, temporaryFolder } from "../../support/servers/server-process.ts";
import { newDatabase } from "../../support/stores/postgres.ts";
import { startRelay } from "../../support/stores/relay.ts";
import { SHARED_KEY } from "../../support/stores/stores.ts";

const USERS = Array.from({ length: 400 }, (_, number) => `user-${number}`);
/** The users of one change. */
const AT_ONCE = 200;

const random = (below: number) => Math.floor(Math.random() * below);

async function lockedUsers({ users }: Userlock): Promise<string[]> {
  const state = { filter: { case: "stateFilter" as const, value: { state: State.USER_STATE_LOCKED } } };
  const { result } = await users.searchUsers({ query: { limit: 1_000 }, filters: [state] });
  return result.map(({ details }) => details?.id ?? "").sort();
}

/** Changes users over the servers in turn, while the guard's connection is cut and goes to another server. */
async function storm(urls: string[], changes: number) {
  const all = urls.map((url) => createUserlock({ url, token: ADMIN_TOKEN }));
  const [first] = all as [Userlock];
  const ports = urls.map((url) => Number(new URL(url).port));
  await Promise.all(USERS.map((userId) => first.users.createUser({ user: { userId } })));
  await first.users.batchLockUsers({ ids: USERS.slice(0, 50), reason: "before" });

  const target = { host: "127.0.0.1", port: ports[0] as number };
  const relay = await startRelay(target);
  const guard = createGuard({
    url: `http://${relay.address}`,
    token: ADMIN_TOKEN,
    jwt: { issuer: "i", audience: "a", jwks: { keys: [] } },
  });
  const heard = new Set(USERS.slice(0, 50));
  guard.on("locked", ({ userId }) => heard.add(userId));
  guard.on("unlocked", ({ userId }) => heard.delete(userId));
  await guard.ready;
  const sizeAtStart = guard.size;

  const storming = new AbortController();
  let cuts = 0;
  const cutting = (async () => {
    while (!storming.signal.aborted) {
      await sleep(random(80));
      target.port = ports[random(ports.length)] as number;
      relay.cut();
      cuts++;
    }
  })();
  for (let done = 0; done < changes; done += AT_ONCE) {
    const { users } = all[random(all.length)] as Userlock;
    const ids = [...new Set(Array.from({ length: AT_ONCE }, () => USERS[random(USERS.length)] as string))];
    if (random(2) === 0) await users.batchLockUsers({ ids, reason: "fraud" });
    else await users.batchUnlockUsers({ ids });
  }
  storming.abort();
  await cutting;

  const expected = await lockedUsers(first);
  const denied = () => USERS.filter(guard.isDenied).sort();
  await eventually(() => denied().join() === expected.join()).catch(() => {});
  const result = { sizeAtStart, cuts, denied: denied(), heard: [...heard].sort(), size: guard.size };
  guard.close();
  await relay.stop();
  for (const each of all) each.close();
  return { expected, result };
}

test("after 10,000 random locks and unlocks with random cuts, the guard's set and its events are the server's", async () => {
  const folder = temporaryFolder();
  const server = await startServer({ USERLOCK_STORE: `sqlite:${folder.file("userlock.db")}` });
  try {
    const { expected, result } = await storm([server.url], 10_000);
    expect(result).toMatchObject({ sizeAtStart: 50, denied: expected, heard: expected, size: expected.length });
    expect(result.cuts).toBeGreaterThan(3);
  } finally {
    await server.stop();
    folder.remove();
  }
});

test("a guard that goes from one server to another on one PostgreSQL store misses nothing", async () => {
  const { url, drop } = await newDatabase();
  const settings = { USERLOCK_STORE: url, ...SHARED_KEY };
  const servers = [await startServer(settings)];
  servers.push(await startServer(settings));
  try {
    const { expected, result } = await storm(
      servers.map((server) => server.url),
      1_000,
    );
    expect(result).toMatchObject({ sizeAtStart: 50, denied: expected, heard: expected, size: expected.length });
  } finally {
    for (const server of servers) await server.stop();
    await drop();
  }
});

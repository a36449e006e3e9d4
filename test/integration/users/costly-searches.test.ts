// Proves that costly searches of one caller do not delay others.
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

/** The time limit of a call in milliseconds. The searches of the attack would take minutes. */
const CALL_MS = 6_000;
/** The longest wait of another caller during the attack, in milliseconds. */
const MAX_WAIT_MS = 5_000;
/** The memory limit of the process with a heap of 512 MiB, in bytes. */
const MAX_MEMORY = 768 * 2 ** 20;
const USERS = 50_000;
const ATTACKS = 30;

const folder = temporaryFolder();
let server: ServerProcess;

beforeAll(async () => {
  const file = folder.file("userlock.db");
  const settings = { USERLOCK_STORE: `sqlite:${file}`, NODE_OPTIONS: "--max-old-space-size=512" };
  server = await startServer(settings);
  await server.stop();
  addUsers(file);
  server = await startServer(settings, { callMs: CALL_MS, warmUp: true });
  // Without this owner the last-owner rule would refuse the locks below.
  await call("POST", "users", { userId: "owner" });
  await tokenOf("owner", "ROLE_INSTANCE_OWNER");
});
afterAll(async () => {
  await server.stop();
  folder.remove();
});

/** Inserts rows directly, because so many calls would take long. */
function addUsers(file: string): void {
  const database = new DatabaseSync(file);
  const insert = database.prepare(`
    INSERT INTO streams (instance, kind, id, version, owner_type, owner_id, created, changed, state)
    VALUES ('default', 'user', ?, 1, 'org', 'big', 1790000000000000, 1790000000000000, ?)`);
  database.exec("BEGIN");
  for (let index = 0; index < USERS; index++) {
    const id = `user${index}`;
    const usernames = [{ id: "1", name: `name${index}@example.com`, organizationSpecific: false }];
    insert.run(id, JSON.stringify({ id, owner: { type: "org", id: "big" }, lifecycle: "active", usernames }));
  }
  database.exec("COMMIT");
  database.close();
}

interface Answer {
  status: number;
  body: Record<string, unknown>;
  milliseconds: number;
}

async function call(
  method: string,
  path: string,
  body?: unknown,
  token = ADMIN_TOKEN,
  signal?: AbortSignal,
): Promise<Answer> {
  const begun = performance.now();
  const response = await fetch(`${server.url}/resources/v3alpha/${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { "content-type": "application/json" }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    ...(signal && { signal }),
  });
  const answer = (await response.json()) as Answer["body"];
  return { status: response.status, body: answer, milliseconds: performance.now() - begun };
}

async function tokenOf(subject: string, role: string): Promise<string> {
  const { status, body } = await call("POST", "tokens", { subject, grants: [{ role }] });
  expect(status).toBe(201);
  return body.token as string;
}

/** Resident memory of the server's process in bytes. */
function memoryOf({ child }: ServerProcess): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) * 1024;
}

/** Conditions that are costly for each user and match no user. */
const COSTLY = [
  {
    orFilter: {
      queries: Array.from({ length: 98 }, (_, index) => ({
        usernameFilter: { username: `zz${index}`, method: "TEXT_FILTER_METHOD_STARTS_WITH_IGNORE_CASE" },
      })),
    },
  },
];

const ATTACK: [name: string, attack: (token: string, signal?: AbortSignal) => Promise<Answer>][] = [
  ["SearchUsers", (token, signal) => call("POST", "users/_search", COSTLY, token, signal)],
  [
    "BatchLockUsers by filter",
    (token, signal) => call("POST", "users/_batch_lock", { filters: COSTLY }, token, signal),
  ],
];

type Victim = Pick<Answer, "status" | "milliseconds"> & { called: string };

/** Calls of another caller during the attack. */
async function callOthers(holder: string): Promise<Victim[]> {
  const victims: Victim[] = [];
  for (const [method, path, body] of [
    ["POST", `users/${holder}/_lock`, {}],
    ["POST", `users/${holder}/_unlock`, {}],
    ["GET", `users/${holder}/sessions`],
    ["GET", "tokens"],
    ["GET", "events?types=user.locked&limit=5"],
    ["POST", "users/_search", [{ userIdFilter: { id: holder } }]],
  ] as const) {
    const { status, milliseconds } = await call(method, path, body);
    victims.push({ called: `${method} ${path}`, status, milliseconds });
  }
  return victims;
}

test.each(ATTACK)(
  "30 costly calls of %s do not delay another caller, and end at their deadline",
  async (name, attack) => {
    const attacker = await tokenOf(`attacker-${name.length}`, "ROLE_INSTANCE_OWNER");
    const holder = `holder-${name.length}`;
    await call("POST", "users", { userId: holder });
    await tokenOf(holder, "ROLE_INSTANCE_OWNER");

    // Starts all threads of the store, which takes long on a busy machine.
    const leave = new AbortController();
    const first = Array.from({ length: ATTACKS }, () => attack(attacker, leave.signal));
    await callOthers(holder);
    leave.abort();
    await Promise.allSettled(first);

    const attacks = Array.from({ length: ATTACKS }, () => attack(attacker));
    let isOver = false;
    const answers = Promise.all(attacks).finally(() => {
      isOver = true;
    });
    await sleep(300);
    const victims: Victim[] = [];
    while (!isOver && victims.length < 30) victims.push(...(await callOthers(holder)));
    expect(victims.filter(({ status, milliseconds }) => status !== 200 || milliseconds > MAX_WAIT_MS)).toEqual([]);
    expect(victims.length).toBeGreaterThan(0);
    expect(memoryOf(server)).toBeLessThan(MAX_MEMORY);
    const all = await answers;
    // A fast machine may answer the first calls in time.
    expect(all.filter(({ status }) => status !== 504 && status !== 200)).toEqual([]);
    expect(all.filter(({ status }) => status === 504).length).toBeGreaterThan(ATTACKS / 2);
    expect(Math.max(...all.map(({ milliseconds }) => milliseconds))).toBeLessThan(CALL_MS + MAX_WAIT_MS);

    // No search continues after its call has ended.
    const { status, milliseconds } = await call("POST", "users/_search", [{ userIdFilter: { id: holder } }], attacker);
    expect(status).toBe(200);
    expect(milliseconds).toBeLessThan(MAX_WAIT_MS);
  },
);

test("a costly search ends when its caller leaves", async () => {
  const attacker = await tokenOf("leaving", "ROLE_INSTANCE_OWNER");
  const [, attack] = ATTACK[0] as (typeof ATTACK)[0];
  const leave = new AbortController();
  const attacks = Array.from({ length: ATTACKS }, () => attack(attacker, leave.signal));
  await sleep(300);
  leave.abort();
  await Promise.allSettled(attacks);
  const { status, milliseconds } = await call("POST", "users/_search", [{ userIdFilter: { id: "user1" } }], attacker);
  expect(status).toBe(200);
  expect(milliseconds).toBeLessThan(MAX_WAIT_MS);
});

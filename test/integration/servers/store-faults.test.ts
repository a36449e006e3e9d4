// Proves that a server is not ready while its store is unusable, and recovers by itself.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import {
  ADMIN_TOKEN,
  type ServerProcess,
  startUserlock,
  temporaryFolder,
} from "../../support/servers/server-process.ts";
import { query } from "../../support/stores/postgres.ts";
import { STORES } from "../../support/stores/stores.ts";

/** The time until a fault is noticed, and the extra time of a busy machine, in milliseconds. */
const SEEN_MS = 1_000;
const SLACK_MS = 15_000;

let folder: ReturnType<typeof temporaryFolder>;
let file: string;
let server: ServerProcess;

beforeEach(() => {
  folder = temporaryFolder();
  mkdirSync(folder.file("data"));
  file = folder.file("data/userlock.db");
});
afterEach(async () => {
  await server.stop();
  folder.remove();
});

async function call(path: string, body?: unknown): Promise<{ status: number; text: string }> {
  const response = await fetch(`${server.url}${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: {
      authorization: `Bearer ${ADMIN_TOKEN}`,
      ...(body !== undefined && { "content-type": "application/json" }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, text: await response.text() };
}

const create = (userId: string, data = {}) => call("/resources/v3alpha/users", { userId, data });
const get = (id: string) => call(`/resources/v3alpha/users/${id}`);
const search = () => call("/resources/v3alpha/users/_search", []);

/** Waits until the probe and the health service agree on readiness, and fails after a while. */
async function expectReady(isReady: boolean): Promise<void> {
  const begun = performance.now();
  const healthy = `"${isReady ? "SERVING" : "NOT_SERVING"}"`;
  for (;;) {
    const [probe, health] = [await call("/readyz"), await call("/grpc.health.v1.Health/Check", {})];
    if (probe.status === (isReady ? 200 : 503) && health.text.includes(healthy)) return;
    if (performance.now() - begun > SEEN_MS + SLACK_MS) {
      expect({ probe: probe.status, health: health.text }).toEqual({ isReady });
    }
    await sleep(50);
  }
}

const limitFileSize = (bytes: number | "unlimited") =>
  execFileSync("prlimit", [`--pid=${server.child.pid}`, `--fsize=${bytes}:`]);

test("a server on a full disk is not ready within a second, and recovers by itself", async () => {
  server = await startUserlock({ USERLOCK_STORE: `sqlite:${file}` });
  expect((await create("ann")).status).toBe(201);
  await expectReady(true);
  // No file of the process may grow, like on a full disk.
  limitFileSize(statSync(`${file}-wal`).size);
  expect((await create("ben", { filling: "x".repeat(20_000) })).status).toBe(503);
  await expectReady(false);
  expect((await call("/healthz")).status).toBe(200);
  expect((await get("ann")).status).toBe(200);
  expect(server.stderr()).toContain("the store cannot be written");
  limitFileSize("unlimited");
  await expectReady(true);
  expect(server.stderr()).toContain("the store can be written again");
  expect((await create("ben")).status).toBe(201);
});

test("a read-only PostgreSQL server makes its servers not ready until it is writable", async () => {
  const [, make] = STORES.find(([name]) => name === "PostgreSQL") as (typeof STORES)[0];
  const { url, remove } = await make();
  server = await startUserlock({ USERLOCK_STORE: url });
  await expectReady(true);
  const database = new URL(url).pathname.slice(1);
  await query(url, `ALTER DATABASE ${database} SET default_transaction_read_only = on`);
  const others =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()";
  await query(url, others, [database]);
  await expectReady(false);
  const writable = `${url}?options=${encodeURIComponent("-c default_transaction_read_only=off")}`;
  await query(writable, `ALTER DATABASE ${database} RESET ALL`);
  await query(url, others, [database]);
  await expectReady(true);
  await server.stop();
  await remove();
});

test("checks of readiness add no event and few pages to the store", async () => {
  server = await startUserlock({ USERLOCK_STORE: `sqlite:${file}` });
  await expectReady(true);
  const before = statSync(`${file}-wal`).size;
  for (let asked = 0; asked < 200; asked++) expect((await call("/readyz")).status).toBe(200);
  expect(statSync(`${file}-wal`).size - before).toBeLessThan(40 * 4_096 * 10);
  expect((await call("/resources/v3alpha/events?types=user.created")).text).not.toContain("cursor");
});

describe.each<[what: string, harm: () => void, mend: (() => void) | undefined]>([
  [
    "that was moved",
    () => renameSync(file, folder.file("elsewhere.db")),
    () => renameSync(folder.file("elsewhere.db"), file),
  ],
  ["that was deleted", () => rmSync(file), undefined],
  [
    "whose folder was moved",
    () => renameSync(folder.file("data"), folder.file("elsewhere")),
    () => renameSync(folder.file("elsewhere"), folder.file("data")),
  ],
  [
    "that was replaced by a copy",
    () => {
      const bytes = readFileSync(file);
      rmSync(file);
      writeFileSync(file, bytes);
    },
    undefined,
  ],
  ["whose WAL was deleted", () => rmSync(`${file}-wal`), undefined],
])("a database file %s under its server", (_, harm, mend) => {
  test("makes calls UNAVAILABLE and the server not ready, is named in the log, and is not created again", async () => {
    server = await startUserlock({ USERLOCK_STORE: `sqlite:${file}` });
    expect((await create("ann")).status).toBe(201);
    await expectReady(true);
    harm();
    const isLeft = [file, `${file}-wal`].map((path) => existsSync(path));
    await sleep(150);
    for (const answer of [await create("ben"), await get("ann"), await search()]) {
      expect([answer.status, /"reason":"(\w+)"/.exec(answer.text)?.[1]]).toEqual([503, "STORE_UNAVAILABLE"]);
    }
    await expectReady(false);
    expect(server.stderr()).toMatch(/userlock\.db\S* was moved, replaced or deleted/);
    expect([file, `${file}-wal`].map((path) => existsSync(path))).toEqual(isLeft);
    mend?.();
    if (!mend) return;
    await expectReady(true);
    expect((await get("ann")).status).toBe(200);
    expect((await search()).status).toBe(200);
    expect((await create("cleo")).status).toBe(201);
  });
});

test("a database file whose pages are damaged makes the server not ready, and the log says so", async () => {
  server = await startUserlock({ USERLOCK_STORE: `sqlite:${file}` });
  for (let index = 0; index < 50; index++) await create(`user${index}`, { filling: "x".repeat(500) });
  await server.stop();
  const bytes = readFileSync(file);
  // All pages except the first, which have the schema.
  const root = firstPageOf("user30", bytes);
  bytes.fill(0xaa, root, root + 4_096);
  writeFileSync(file, bytes);
  server = await startUserlock({ USERLOCK_STORE: `sqlite:${file}` });
  await expectReady(true);
  expect((await search()).status).toBe(503);
  await expectReady(false);
  expect(server.stderr()).toContain("is damaged");
});

/** The offset of the page with the user's state. */
function firstPageOf(id: string, bytes: Buffer): number {
  const at = bytes.indexOf(`{"id":"${id}","owner":{"type":"instance","id":"default"},"lifecycle"`);
  return at - (at % 4_096);
}

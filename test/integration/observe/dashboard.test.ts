// Proves that a real Prometheus has an answer to every expression of the dashboard, and evaluates every rule.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type AdminServer, startAdminServer } from "../../support/servers/admin-server.ts";
import { freePort } from "../../support/servers/free-port.ts";
import { ADMIN_TOKEN, QUICK, temporaryFolder } from "../../support/servers/server-process.ts";
import { type Database, newDatabase } from "../../support/stores/postgres.ts";

const RULES = "deploy/prometheus/userlock.rules.yml";
/** About ten seconds are enough, on a busy machine, too. */
const TIME_MS = 60_000;
const PASSWORD = "the-password";

interface Panel {
  type: string;
  title: string;
  targets?: { expr: string }[];
}
const { panels } = JSON.parse(readFileSync("deploy/grafana/userlock.json", "utf8")) as { panels: Panel[] };
const expressions = panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }) => ({ title, expr: expr.replaceAll("$__rate_interval", "8s") })),
);

const folder = temporaryFolder();
let database: Database;
let server: AdminServer;
let prometheus: ChildProcess;
let url: string;

beforeAll(async () => {
  // The pools of connections have metrics on PostgreSQL only.
  database = await newDatabase();
  server = await startAdminServer({ USERLOCK_STORE: database.url }, QUICK);
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  writeFileSync(
    folder.file("prometheus.yml"),
    `global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: ["${resolve(RULES)}"]
scrape_configs: [{ job_name: userlock, static_configs: [{ targets: ["${new URL(server.adminUrl).host}"] }] }]
`,
  );
  const flags = {
    "config.file": folder.file("prometheus.yml"),
    "storage.tsdb.path": folder.file("data"),
    "web.listen-address": new URL(url).host,
  };
  const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  prometheus = spawn("prometheus", args, { stdio: "ignore", timeout: 120_000 });
  prometheus.on("error", () => {});
});

afterAll(async () => {
  if (prometheus?.pid !== undefined && prometheus.exitCode === null) {
    prometheus.kill("SIGKILL");
    await once(prometheus, "exit");
  }
  await server?.stop("SIGKILL");
  await database?.drop();
  folder.remove();
});

/** The values of an expression. Empty while Prometheus starts, and for series without a number. */
async function valuesOf(expr: string): Promise<number[]> {
  try {
    const response = await fetch(`${url}/api/v1/query?${new URLSearchParams({ query: expr })}`);
    const { data } = (await response.json()) as { data: { result: { value: [number, string] }[] } };
    return data.result.map(({ value }) => Number(value[1])).filter((value) => !Number.isNaN(value));
  } catch {
    return [];
  }
}

/** Something of everything that the dashboard shows. */
async function work(round: number): Promise<void> {
  const call = (method: string, request: object, headers: Record<string, string> = {}) =>
    fetch(`${server.url}/userlock.v3alpha.${method}`, {
      method: "POST",
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json", ...headers },
      body: JSON.stringify(request),
    });
  const id = `user-${round}`;
  const authenticators = { password: { password: PASSWORD } };
  await call("UserService/CreateUser", { user: { userId: id, authenticators } });
  await call("SessionService/CreateSession", { userId: id, password: PASSWORD });
  await call("UserService/LockUser", { id, reason: "test" }, { "idempotency-key": id });
  await call("UserService/LockUser", { id, reason: "test" });
  await call("UserService/UnlockUser", { id }, { authorization: "Bearer wrong" });
  await fetch(`${server.url}/authz`);
}

test("every expression of the dashboard has a result from a server that works", async () => {
  const gone = new AbortController();
  const stream = await fetch(`${server.url}/resources/v3alpha/events/_watch`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    signal: gone.signal,
  });
  void stream.body?.pipeTo(new WritableStream()).catch(() => {});
  let missing = expressions;
  for (let round = 0, end = performance.now() + TIME_MS; missing.length > 0 && performance.now() < end; round++) {
    await work(round);
    await sleep(200);
    if (round % 5 !== 4) continue;
    const results = await Promise.all(missing.map(({ expr }) => valuesOf(expr)));
    missing = missing.filter((_, index) => results[index]?.length === 0);
  }
  gone.abort();
  expect(missing).toEqual([]);
  expect(expressions.length).toBeGreaterThan(30);
});

test("the dashboard has four rows", () => {
  const rows = panels.filter(({ type }) => type === "row").map(({ title }) => title);
  expect(rows).toEqual(["Traffic", "Locks and logins", "Store", "Streams"]);
});

test("the server is up and ready, and no rule of the alerts fails or fires", async () => {
  expect(await valuesOf('up{job="userlock"} == 1 and on (instance) userlock_ready == 1')).toEqual([1]);
  const response = await fetch(`${url}/api/v1/rules`);
  const { data } = (await response.json()) as {
    data: { groups: { rules: { name: string; health: string; lastError?: string; state?: string }[] }[] };
  };
  const rules = data.groups.flatMap((group) => group.rules);
  const bad = rules.filter(({ health, state }) => health !== "ok" || state === "firing");
  expect(bad).toEqual([]);
  expect(rules.length).toBeGreaterThan(10);
});

test("the scrape uses OpenMetrics, and Prometheus finds no fault in it", async () => {
  const response = await fetch(`${url}/api/v1/targets`);
  const { data } = (await response.json()) as { data: { activeTargets: { lastError: string; health: string }[] } };
  expect(data.activeTargets.map(({ lastError, health }) => ({ lastError, health }))).toEqual([
    { lastError: "", health: "up" },
  ]);
  expect(await valuesOf('count({job="userlock"})')).toEqual([expect.any(Number)]);
});

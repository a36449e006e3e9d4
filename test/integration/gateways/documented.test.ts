// Proves that the commands of docs/gateways.md work as written, in an empty folder, with nginx, Caddy and HAProxy.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { blocks, rows } from "../../support/docs.ts";
import { startApp } from "../../support/gateways/app.ts";
import { environmentOf, KINDS, listens, type Places, writeFiles } from "../../support/gateways/gateways.ts";
import { runCommand } from "../../support/servers/command.ts";
import { freePort } from "../../support/servers/free-port.ts";
import { type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

const NAMES = Object.keys(KINDS);
const TABLE = rows("Configurations").slice(1);
const NONE = "";

const folder = temporaryFolder();
const cwd = folder.file("work");
const secret = (name: string) => readFileSync(`${cwd}/secrets/${name}`, "utf8").trim();
const blockWith = (text: string) => blocks("bash").find(({ code }) => code.includes(text))?.code ?? NONE;
const run = (commands: string) => runCommand("bash", ["--norc", "-euo", "pipefail", "-c", commands], [], { cwd });

let app: Awaited<ReturnType<typeof startApp>>;
let server: ServerProcess;

beforeAll(async () => {
  mkdirSync(cwd);
  for (const made of ["secrets/secret-key", "secrets/authz-token"]) {
    const commands = blockWith(`> ${made}`).replace(/^docker .*$/gm, "");
    expect(await run(commands)).toMatchObject({ code: 0 });
  }
  [app, server] = await Promise.all([
    startApp(),
    startServer({
      USERLOCK_ADMIN_TOKEN: secret("admin-token"),
      USERLOCK_AUTHZ_TOKEN: secret("authz-token"),
      USERLOCK_LOGIN_ORIGINS: "https://login.example.com",
      USERLOCK_CONNECTIONS_PER_ADDRESS: "0",
    }),
  ]);
});

afterAll(async () => {
  await Promise.all([app?.stop(), server?.stop()]);
  folder.remove();
});

const rowOf = (name: string) => TABLE.find(([title]) => title?.toLowerCase() === name) ?? [];

test.each(["nginx", "caddy", "haproxy", "traefik", "envoy"])("the files of %s are in the table", (name) => {
  const [, files = ""] = rowOf(name);
  const named = [...files.matchAll(/`(\w+\/[\w.-]+)`/g)].map(([, path]) => path as string);
  expect(named.length).toBeGreaterThan(0);
  for (const path of named) expect(readFileSync(`deploy/gateways/${path}`, "utf8")).not.toBe(NONE);
});

test.each([
  ["nginx", "nginx/nginx.conf", "nginx"],
  ["caddyfile", "caddy/Caddyfile", "caddy"],
  ["haproxy", "haproxy/haproxy.cfg", "haproxy"],
])("each line of the excerpt in %s is in the file", (language, file) => {
  const flat = (text: string) => text.replaceAll(/\s+/g, " ").trim();
  const lines = readFileSync(`deploy/gateways/${file}`, "utf8").split("\n").map(flat);
  const excerpts = blocks(language).filter(({ path }) => path === "docs/gateways.md");
  const written = excerpts
    .flatMap(({ code }) => code.trim().split("\n"))
    .map((line) => flat(line.replace(/ {2,}#.*/, "")));
  expect(written.length).toBeGreaterThan(2);
  // The documentation cuts a long line short by "…".
  const isIn = (line: string, [start = "", end = ""] = line.split(" … ")) =>
    lines.some((own) => own.startsWith(start) && own.endsWith(end || start));
  expect(written.filter((line) => !isIn(line))).toEqual([]);
});

test.each(NAMES)("%s starts by the command in the table, and the trial shows what is said beside it", async (name) => {
  const port = await freePort();
  const places: Places = {
    userlock: new URL(server.url).host,
    app: app.address,
    cert: `${cwd}/secrets/tls-cert`,
    key: `${cwd}/secrets/tls-key`,
    token: secret("authz-token"),
    isPatient: true,
  };
  const here = folder.file(name);
  writeFiles(name, here, port, places);
  // The documented commands made these, not the test.
  cpSync(`${cwd}/secrets`, `${here}/secrets`, { recursive: true });
  const [, command = ""] = /^`(.*)`$/.exec(rowOf(name)[3] ?? "") ?? [];
  const asRoot = process.getuid?.() === 0 ? "daemon off; user root;" : "daemon off;";
  const start = command.replaceAll(`/etc/${name}/`, `${here}/`).replace("daemon off;", asRoot);
  const gateway = spawn("bash", ["-c", `exec ${start}`], {
    env: environmentOf(here, places),
    stdio: "ignore",
    timeout: 60_000,
  });
  try {
    for (let waited = 0; !(await listens(port)) && waited < 10_000; waited += 20) await sleep(20);
    const trial = blockWith("ask()")
      .replaceAll("http://127.0.0.1:8080", server.url)
      .replaceAll("localhost:8443", `localhost:${port}`)
      .replaceAll(/\bada\b/g, `ada-${name}`);
    const { code, stdout, stderr } = await run(trial);
    expect({ code, stderr }).toEqual({ code: 0, stderr: NONE });
    const said = [...trial.matchAll(/# (\d{3})\b/g)].map(([, status]) => status);
    expect([...stdout.matchAll(/(?:^|\})(\d{3})$/gm)].map(([, status]) => status)).toEqual(said);
    const got = [...stdout.matchAll(/"x-auth-request-user":"([^"]*)"/g)].map(([, user]) => user);
    expect(got).toEqual([`ada-${name}`, `ada-${name}`]);
    expect(stdout).not.toContain("root");
  } finally {
    gateway.kill("SIGTERM");
    if (gateway.exitCode === null && gateway.signalCode === null) await once(gateway, "exit");
  }
});

// Proves that the Compose files are valid, and agree with the image, nginx and the server's settings.
import { cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { readConfig } from "../../../src/config/config.ts";
import { LIMITS } from "../../../src/transport/limits.ts";
import { blocks } from "../../support/docs.ts";
import { IMAGE_ENVIRONMENT } from "../../support/install/dockerfile.ts";
import { type Outcome, runCommand } from "../../support/servers/command.ts";
import { temporaryFolder } from "../../support/servers/server-process.ts";

const FILES = ["compose.yaml", "compose.nginx.yaml"];
const NGINX_CONF = readFileSync("deploy/nginx/nginx.conf", "utf8");

interface Service {
  image: string;
  environment: Record<string, string>;
  secrets: { source: string }[];
  ports: (string | { host_ip?: string; published: number | string; target: number })[];
  volumes: (string | { source: string; target: string })[];
  user: string;
  stop_grace_period: string;
  depends_on: Record<string, { condition: string }>;
}

// Version 1 of docker-compose prints short forms, version 2 long ones.
const portOf = (port: Service["ports"][number]) =>
  typeof port === "string"
    ? port.replace("/tcp", "")
    : [port.host_ip, port.published, port.target].filter((part) => part !== undefined).join(":");
const volumeOf = (volume: Service["volumes"][number]) =>
  typeof volume === "string" ? volume.split(":") : [volume.source, volume.target];

const folder = temporaryFolder();
/** Both files together. */
let services: Record<"userlock" | "postgres" | "nginx", Service>;
let secrets: Record<string, { file: string }>;

const config = (files: string[]): Promise<Outcome> =>
  runCommand("docker-compose", [...files.flatMap((file) => ["-f", join(folder.path, file)]), "config"]);

beforeAll(async () => {
  for (const file of FILES) cpSync(file, folder.file(file));
  const { code, stdout, stderr } = await config(FILES);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  ({ services, secrets } = parse(stdout));
});
afterAll(folder.remove);

test("a mistake in a Compose file is found", async () => {
  const text = readFileSync("compose.yaml", "utf8");
  writeFileSync(folder.file("wrong.yaml"), text.replace("read_only:", "readonly:"));
  expect((await config(["wrong.yaml"])).stderr).toContain("'readonly'");
});

test("the documented commands make the secrets, which containers can read and other users cannot reach", async () => {
  const cwd = folder.file("work");
  mkdirSync(cwd);
  const { code } = blocks("bash").find((block) => block.code.includes("mkdir -m 700 secrets"))!;
  const commands = code.replace(/^docker .*$/gm, "");
  expect(await runCommand("bash", ["-euo", "pipefail", "-c", commands], [], { cwd })).toMatchObject({ code: 0 });
  expect(statSync(join(cwd, "secrets")).mode & 0o777).toBe(0o700);

  const needed = Object.keys(secrets).filter((name) => !name.startsWith("tls-"));
  for (const name of needed) expect(statSync(join(cwd, "secrets", name)).mode & 0o777).toBe(0o644);
  const settings = { ...IMAGE_ENVIRONMENT, ...services.userlock.environment };
  const here = Object.entries(settings).map(([name, value]) => [
    name,
    value.replace("/run/secrets/", `${join(cwd, "secrets")}/`),
  ]);
  const { store, secretKey, adminToken, connectionsPerAddress } = readConfig(Object.fromEntries(here));
  const password = readFileSync(join(cwd, "secrets/database-password"), "utf8").trim();
  const { POSTGRES_USER: user, POSTGRES_DB: database } = services.postgres.environment;
  expect(store).toEqual({ kind: "postgres", url: `postgres://${user}:${password}@postgres/${database}` });
  expect([secretKey, adminToken]).not.toContain(undefined);
  expect(connectionsPerAddress).toBe(0);
});

test("each secret that a service reads is mounted there, and no other", () => {
  const read = {
    userlock: Object.values(services.userlock.environment),
    postgres: Object.values(services.postgres.environment),
    nginx: [...NGINX_CONF.matchAll(/ (\/run\/secrets\/\S+);/g)].map(([, path]) => path as string),
  };
  for (const [name, values] of Object.entries(read)) {
    const files = values.filter((value) => value.startsWith("/run/secrets/"));
    const mounted = services[name as keyof typeof read].secrets.map(({ source }) => `/run/secrets/${source}`);
    expect(mounted.sort()).toEqual(files.sort());
  }
  expect(readFileSync(".gitignore", "utf8")).toMatch(/^secrets\/$/m);
  for (const { file } of Object.values(secrets)) expect(file).toMatch(/\/secrets\/[\w-]+$/);
});

test("the ports are those on which the services listen", () => {
  const { port } = readConfig(IMAGE_ENVIRONMENT);
  expect(services.userlock.ports.map(portOf)).toEqual([`127.0.0.1:8080:${port}`]);
  const [, listen] = /^\s*listen (\d+) /m.exec(NGINX_CONF) ?? [];
  expect(services.nginx.ports.map(portOf)).toEqual([`8443:${listen}`]);
  const upstreams = [...NGINX_CONF.matchAll(/^\s*server (\S+);$/gm)].map(([, address]) => address);
  expect(upstreams).toEqual([`userlock:${port}`, `userlock:${port}`]);
});

test("userlock starts after its database is ready, and has time for its running calls when it stops", () => {
  expect(services.userlock.depends_on).toMatchObject({ postgres: { condition: "service_healthy" } });
  expect(Number(/^(\d+)s$/.exec(services.userlock.stop_grace_period)?.[1])).toBeGreaterThan(LIMITS.drainMs / 1_000);
});

test("the files and versions that the services name are there", () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8"));
  expect(services.userlock.image).toBe(`userlock:${version}`);
  const [file] = services.nginx.volumes.flatMap(volumeOf);
  expect(existsSync((file as string).replace(`${folder.path}/`, ""))).toBe(true);
  // The first version whose image has its data below this folder.
  expect(Number(/postgres:(\d+)/.exec(services.postgres.image)?.[1])).toBeGreaterThanOrEqual(18);
  expect(services.postgres.volumes.flatMap(volumeOf)).toEqual(expect.arrayContaining(["/var/lib/postgresql"]));
});

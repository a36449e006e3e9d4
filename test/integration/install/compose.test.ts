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

interface Service {
  image: string;
  environment: Record<string, string>;
  secrets?: { source: string }[];
  ports: (string | { host_ip?: string; published: number | string; target: number })[];
  volumes: (string | { source: string; target: string })[];
  networks: Record<string, unknown>;
  user: string;
  stop_grace_period: string;
  depends_on: Record<string, { condition: string }>;
}

interface Composed {
  services: Record<string, Service>;
  secrets: Record<string, { file: string }>;
  networks: Record<string, { internal?: boolean }>;
}

/** Each file that adds nginx to compose.yaml, the service, and the text of its files. */
const OVERLAYS = [
  { file: "compose.nginx.yaml", nginx: "nginx", conf: readFileSync("deploy/nginx/nginx.conf", "utf8") },
  {
    file: "compose.gateway.yaml",
    nginx: "gateway",
    conf: ["nginx.conf", "userlock-request.conf"]
      .map((name) => readFileSync(`deploy/gateways/nginx/${name}`, "utf8"))
      .join("\n"),
  },
];
const [, GATEWAY] = OVERLAYS as [unknown, (typeof OVERLAYS)[0]];

// Version 1 of docker-compose prints short forms, version 2 long ones.
const portOf = (port: Service["ports"][number]) =>
  typeof port === "string"
    ? port.replace("/tcp", "")
    : [port.host_ip, port.published, port.target].filter((part) => part !== undefined).join(":");
const volumeOf = (volume: Service["volumes"][number]) =>
  typeof volume === "string" ? volume.split(":") : [volume.source, volume.target];

const folder = temporaryFolder();
/** Where the documented commands made the secrets. */
const cwd = folder.file("work");
/** By the overlay's file, together with compose.yaml. */
const composed: Record<string, Composed> = {};
const of = (file: string) => composed[file] as Composed;
const serviceOf = (file: string, name: string) => of(file).services[name] as Service;

const config = (files: string[]): Promise<Outcome> =>
  runCommand("docker-compose", [...files.flatMap((file) => ["-f", join(folder.path, file)]), "config"]);

beforeAll(async () => {
  cpSync("compose.yaml", folder.file("compose.yaml"));
  for (const { file } of OVERLAYS) {
    cpSync(file, folder.file(file));
    const { code, stdout, stderr } = await config(["compose.yaml", file]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    composed[file] = parse(stdout);
  }
  mkdirSync(cwd);
  for (const made of ["secrets/secret-key", "secrets/authz-token"]) {
    const { code } = blocks("bash").find((block) => block.code.includes(`> ${made}`))!;
    const commands = code.replace(/^docker .*$/gm, "");
    expect(await runCommand("bash", ["--norc", "-euo", "pipefail", "-c", commands], [], { cwd })).toMatchObject({
      code: 0,
    });
  }
});
afterAll(folder.remove);

test("a mistake in a Compose file is found", async () => {
  const text = readFileSync("compose.yaml", "utf8");
  writeFileSync(folder.file("wrong.yaml"), text.replace("read_only:", "readonly:"));
  expect((await config(["wrong.yaml"])).stderr).toContain("'readonly'");
});

describe.each(OVERLAYS)("with $file", ({ file, nginx, conf }) => {
  /** What the server reads from the settings, with the secrets of the documented commands. */
  function read() {
    const settings = { ...IMAGE_ENVIRONMENT, ...serviceOf(file, "userlock").environment };
    const here = Object.entries(settings).map(([name, value]) => [
      name,
      value.replace("/run/secrets/", `${join(cwd, "secrets")}/`),
    ]);
    return readConfig(Object.fromEntries(here));
  }

  test("the documented commands make the secrets, which containers can read and other users cannot reach", () => {
    expect(statSync(join(cwd, "secrets")).mode & 0o777).toBe(0o700);
    for (const name of Object.keys(of(file).secrets)) {
      expect([name, statSync(join(cwd, "secrets", name)).mode & 0o777]).toEqual([name, 0o644]);
    }
    const { store, secretKey, adminToken, connectionsPerAddress } = read();
    const password = readFileSync(join(cwd, "secrets/database-password"), "utf8").trim();
    const { POSTGRES_USER: user, POSTGRES_DB: database } = serviceOf(file, "postgres").environment;
    expect(store).toEqual({ kind: "postgres", url: `postgres://${user}:${password}@postgres/${database}` });
    expect([secretKey, adminToken]).not.toContain(undefined);
    expect(connectionsPerAddress).toBe(0);
  });

  test("each secret that a service reads is mounted there, and no other", () => {
    const { services, secrets } = of(file);
    for (const [name, { environment = {}, secrets: mounted = [] }] of Object.entries(services)) {
      const named = name === nginx ? [...conf.matchAll(/ (\/run\/secrets\/\S+);/g)].map(([, path]) => path) : [];
      const files = [...Object.values(environment), ...named].filter((value) => value?.startsWith("/run/secrets/"));
      expect(mounted.map(({ source }) => `/run/secrets/${source}`).sort()).toEqual(files.sort());
    }
    expect(readFileSync(".gitignore", "utf8")).toMatch(/^secrets\/$/m);
    for (const { file: path } of Object.values(secrets)) expect(path).toMatch(/\/secrets\/[\w.-]+$/);
  });

  test("the ports are those on which the services listen", () => {
    const { port } = readConfig(IMAGE_ENVIRONMENT);
    expect(serviceOf(file, "userlock").ports.map(portOf)).toEqual([`127.0.0.1:8080:${port}`]);
    const [, listen] = /^\s*listen (\d+) /m.exec(conf) ?? [];
    expect(serviceOf(file, nginx).ports.map(portOf)).toEqual([`8443:${listen}`]);
    const upstreams = [...conf.matchAll(/^\s*server (\S+);$/gm)].map(([, address]) => address);
    expect(upstreams).toContain(`userlock:${port}`);
    expect(upstreams.filter((address) => address !== `userlock:${port}` && address !== "app:3000")).toEqual([]);
  });

  test("userlock starts after its database is ready, and has time for its running calls when it stops", () => {
    const { depends_on, stop_grace_period } = serviceOf(file, "userlock");
    expect(depends_on).toMatchObject({ postgres: { condition: "service_healthy" } });
    expect(Number(/^(\d+)s$/.exec(stop_grace_period)?.[1])).toBeGreaterThan(LIMITS.drainMs / 1_000);
  });

  test("the files and versions that the services name are there", () => {
    const { version } = JSON.parse(readFileSync("package.json", "utf8"));
    expect(serviceOf(file, "userlock").image).toBe(`userlock:${version}`);
    const volumes = serviceOf(file, nginx).volumes.map(volumeOf);
    expect(volumes.map(([source = ""]) => existsSync(source.replace(`${folder.path}/`, "")))).not.toContain(false);
    const included = [...conf.matchAll(/ (\/etc\/nginx\/\S+);/g)].map(([, path]) => path);
    expect(volumes.map(([, target]) => target)).toEqual(expect.arrayContaining(["/etc/nginx/nginx.conf", ...included]));
    // The first version whose image has its data below this folder.
    const { image, volumes: kept } = serviceOf(file, "postgres");
    expect(Number(/postgres:(\d+)/.exec(image)?.[1])).toBeGreaterThanOrEqual(18);
    expect(kept.flatMap(volumeOf)).toEqual(expect.arrayContaining(["/var/lib/postgresql"]));
  });

  if (file !== GATEWAY.file) return;

  test("nginx and userlock have the same gateway token and login page", () => {
    const { authz } = read();
    const [, sent] = /X-Userlock-Gateway "(\S+)";/.exec(
      readFileSync(join(cwd, "secrets/userlock-gateway.conf"), "utf8"),
    )!;
    expect(authz.gatewayToken).toBe(sent);
    const [, page] = /redirect=(\S+)\?/.exec(conf)!;
    expect(authz.loginOrigins).toEqual([new URL(page as string).origin]);
  });

  test("only nginx can reach the app, on a network without the Internet", () => {
    const { services, networks } = of(file);
    const inNetwork = Object.entries(services).filter(([, service]) => "app" in (service.networks ?? {}));
    expect(inNetwork.map(([name]) => name).sort()).toEqual(["app", nginx]);
    expect(Object.keys(serviceOf(file, "app").networks)).toEqual(["app"]);
    expect([serviceOf(file, "app").ports, networks.app?.internal]).toEqual([undefined, true]);
  });
});

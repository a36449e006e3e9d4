// Proves that the image of the Dockerfile can be built, and runs without root, without a shell and on a read-only root.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DOCUMENTATION } from "../../support/docs.ts";
import { BUILD_STAGE, IMAGE_ENVIRONMENT, LAST_STAGE } from "../../support/install/dockerfile.ts";
import { buildahIn, makeBuildFolder, makeLibraries } from "../../support/install/image.ts";
import { freePort } from "../../support/servers/free-port.ts";
import { ADMIN_TOKEN, temporaryFolder } from "../../support/servers/server-process.ts";
import { lockOverRest } from "../../support/users.ts";

/** Bytes. Node has 127 MB. */
const MAX_SIZE = 165e6;
const OWNER = 65_532;

const folder = temporaryFolder();
const buildah = buildahIn(folder.path);
let image: { User: string; Entrypoint: string[]; Cmd: string[]; Env: string[]; Volumes: object; ExposedPorts: object };
let healthcheck: string[];
let labels: Record<string, string>;
/** The root of the container. */
let root: string;
let container: string;

beforeAll(async () => {
  const [build, base] = [folder.file("build"), folder.file("base")];
  await makeBuildFolder(build);
  makeLibraries(base, join(build, "image/app"));
  const ofBase = await buildah.build("base", "FROM scratch\nCOPY . /\n", base);
  expect(ofBase).toMatchObject({ code: 0 });
  const options = ["--build-arg", "BASE_IMAGE=localhost/base", "--build-context", `build=${build}`];
  expect(await buildah.build("userlock", LAST_STAGE, build, options)).toMatchObject({ code: 0 });

  const described = await buildah.run(["inspect", "--type", "image", "localhost/userlock"]);
  const { config } = JSON.parse(described.stdout).Docker;
  image = config;
  healthcheck = config.Healthcheck.Test;
  labels = config.Labels;
  container = (await buildah.run(["from", "--pull-never", "localhost/userlock"])).stdout.trim();
  root = (await buildah.run(["mount", container])).stdout.trim();
});

afterAll(async () => {
  await buildah.run(["rm", "--all"]);
  folder.remove();
});

/** The files and folders of the container, as paths from its root. Other than `find`, it follows no link. */
const filesIn = () =>
  readdirSync(root, { recursive: true, withFileTypes: true }).filter((one) => !one.isSymbolicLink());
const pathOf = (one: { parentPath: string; name: string }) => join(one.parentPath, one.name);

test("the build stage reads what npm pack needs, and no secret, database or package of the checkout", async () => {
  const instructions = BUILD_STAGE.replace(/^RUN (?:.*\\\n)*.*$/gm, "");
  const context = folder.file("context");
  mkdirSync(context);
  const options = ["--build-arg", "BUILD_IMAGE=scratch", "--ignorefile", ".dockerignore"];
  const out = ["--output", `type=local,dest=${context}`];
  expect(await buildah.build("context", instructions, ".", [...options, ...out])).toMatchObject({ code: 0 });
  const { files } = JSON.parse(readFileSync("package.json", "utf8"));
  const needed = [
    ...files.filter((name: string) => name !== "dist" && !name.startsWith("!")),
    "src/main.ts",
    "dev/build.ts",
    "tsconfig.json",
  ];
  for (const name of needed) expect(statSync(join(context, "src", name))).toBeTruthy();
  const found = readdirSync(join(context, "src"));
  for (const name of ["node_modules", "data", "secrets", "test", ".git"]) expect(found).not.toContain(name);
});

test.each([
  ["build", () => BUILD_STAGE.replace(/^RUN (?:.*\\\n)*.*$/gm, "").replace(/^WORKDIR/m, "WORKDIRR")],
  ["last", () => LAST_STAGE.replace(/^EXPOSE/m, "EXPOSED").replace(/^COPY .*\n/gm, "")],
])("a mistake in the %s stage is found", async (_stage, broken) => {
  const options = ["--build-arg", "BUILD_IMAGE=scratch", "--build-arg", "BASE_IMAGE=scratch"];
  const { code, stderr } = await buildah.build("broken", broken(), folder.path, options);
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/unknown instruction: "(WORKDIRR|EXPOSED)"/i);
});

test("the image runs as a user without a name or rights, and describes itself", () => {
  expect(image).toMatchObject({ User: `${OWNER}:${OWNER}`, Cmd: ["serve"], Volumes: { "/data": {} } });
  expect(DOCUMENTATION).toContain(`docker exec userlock ${image.Entrypoint.join(" ")} admin token`);
  expect(Object.keys(image.ExposedPorts)).toEqual(["8080/tcp", "9090/tcp"]);
  expect(image.Env).toEqual(expect.arrayContaining(Object.entries(IMAGE_ENVIRONMENT).map((one) => one.join("="))));
  const { version, license, description } = JSON.parse(readFileSync("package.json", "utf8"));
  const label = (name: string) => labels[`org.opencontainers.image.${name}`];
  expect([label("version"), label("licenses"), label("description")]).toEqual([version, license, description]);
});

test(`the image has less than ${MAX_SIZE / 1e6} MB, no shell, and nothing that its user could change but /data`, () => {
  const all = filesIn().map((one) => ({ path: pathOf(one).slice(root.length), ...pick(statSync(pathOf(one))) }));
  expect(all.reduce((sum, { size }) => sum + size, 0)).toBeLessThan(MAX_SIZE);
  expect(all.filter(({ mode }) => (mode & 0o6000) !== 0)).toEqual([]);
  expect(all.filter(({ path }) => /\/(ba)?sh$/.test(path))).toEqual([]);
  const changeable = all.filter(({ uid, gid, mode }) => uid !== 0 || gid !== 0 || (mode & 0o002) !== 0);
  expect(changeable.map(({ path, uid, gid }) => [path, uid, gid])).toEqual([["/data", OWNER, OWNER]]);
});

const pick = ({ uid, gid, mode, size, ctimeMs }: ReturnType<typeof statSync> & object) => ({
  uid: Number(uid),
  gid: Number(gid),
  mode: Number(mode),
  size: Number(size),
  ctimeMs: Number(ctimeMs),
});

/** Settings for a server on free ports of this machine, whose network a container shares. */
const freeSettings = async () => ({
  USERLOCK_LISTEN: `127.0.0.1:${await freePort()}`,
  USERLOCK_ADMIN_LISTEN: `127.0.0.1:${await freePort()}`,
  USERLOCK_ADMIN_TOKEN: ADMIN_TOKEN,
});
type Settings = Awaited<ReturnType<typeof freeSettings>>;

/** Runs a command that serves with these settings, and waits until the server is ready. */
async function serve(settings: Settings, command: string, args: string[], env?: NodeJS.ProcessEnv) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], timeout: 120_000, env });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      printed += text;
    });
  }
  for (let waited = 0; ; waited += 50) {
    const response = await fetch(`http://${settings.USERLOCK_ADMIN_LISTEN}/readyz`).catch(() => undefined);
    if (response?.status === 200) return { child: child as ChildProcess, printed: () => printed };
    if (child.exitCode !== null || waited > 60_000) throw new Error(`the container does not serve: ${printed}`);
    await sleep(50);
  }
}

test("the server runs on a read-only root", async () => {
  const settings = await freeSettings();
  const script = [
    'mkdir -p "$ROOT/proc" && mount --bind "$ROOT" "$ROOT" && mount -o remount,bind,ro "$ROOT"',
    'mount --rbind /proc "$ROOT/proc"',
    `mount -t tmpfs -o mode=700,uid=${OWNER},gid=${OWNER} data "$ROOT/data"`,
    'touch "$ROOT/app/file" 2>/dev/null && exit 1',
    `exec chroot --userspec=${OWNER}:${OWNER} "$ROOT" "$@"`,
  ];
  const program = ["sh", "-euc", script.join("\n"), "sh", ...image.Entrypoint, ...image.Cmd];
  const env = { PATH: process.env.PATH, ROOT: root, ...IMAGE_ENVIRONMENT, ...settings };
  const { child, printed } = await serve(settings, "unshare", ["--mount", "--", ...program], env);
  child.kill();
  expect(await once(child, "close")).toEqual([0, null]);
  expect(printed()).toContain('"store":"/data/userlock.db"');
});

describe("a container of the image", () => {
  let server: Awaited<ReturnType<typeof serve>>;
  let settings: Settings;
  let started: number;

  beforeAll(async () => {
    settings = await freeSettings();
    writeFileSync(folder.file("before"), "");
    started = statSync(folder.file("before")).ctimeMs;
    server = await serve(settings, "buildah", inContainer([...image.Entrypoint, ...image.Cmd]));
  });

  afterAll(() => {
    for (const pid of serving()) process.kill(pid, "SIGKILL");
  });

  /** The arguments of buildah that run a command in the container. */
  const inContainer = (command: string[]) => [
    ...buildah.storage,
    ...["run", "--isolation", "chroot"],
    ...Object.entries(settings).flatMap(([name, value]) => ["--env", `${name}=${value}`]),
    ...[container, "--", ...command],
  ];

  /** The ids of the server's process. */
  function serving(): number[] {
    return readdirSync("/proc").flatMap((pid) => {
      if (!/^\d+$/.test(pid)) return [];
      try {
        const [program] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
        const isOurs = environment.includes(`USERLOCK_LISTEN=${settings.USERLOCK_LISTEN}`);
        return program === image.Entrypoint[0] && isOurs ? [Number(pid)] : [];
      } catch {
        // It has ended, or belongs to someone else.
        return [];
      }
    });
  }

  test("locks a user, and refuses a second lock", () =>
    lockOverRest(`http://${settings.USERLOCK_LISTEN}`, ADMIN_TOKEN));

  test("is healthy by the command of its health check", async () => {
    const [kind, ...command] = healthcheck;
    expect(kind).toBe("CMD");
    expect(await buildah.run(inContainer(command).slice(buildah.storage.length))).toMatchObject({
      code: 0,
      stdout: `${settings.USERLOCK_LISTEN} is ready\n`,
    });
  });

  test("runs as its user, without a capability", () => {
    const [pid] = serving();
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    expect(status).toMatch(new RegExp(`^Uid:\\t${OWNER}\\t${OWNER}\\t`, "m"));
    expect(status).toMatch(/^CapEff:\t0+$/m);
  });

  test("stops by the signal of the image, and has written nothing outside /data", async () => {
    const [pid, ...others] = serving();
    expect(others).toEqual([]);
    process.kill(pid as number, "SIGTERM");
    expect(await once(server.child, "close")).toEqual([0, null]);
    expect(server.printed()).toContain('"msg":"stopped"');
    // buildah itself makes the places for what it mounts.
    const made = /^\/(etc(\/.*)?|proc|dev|sys|run(\/.*)?)$/;
    const changed = filesIn()
      .map((one) => ({ path: pathOf(one).slice(root.length), ...pick(statSync(pathOf(one))) }))
      .filter(({ path, ctimeMs }) => ctimeMs > started && !made.test(path) && !path.startsWith("/data"));
    expect(changed).toEqual([]);
  });
});

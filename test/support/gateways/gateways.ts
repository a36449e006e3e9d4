import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../servers/free-port.ts";

/** What the files in `deploy/gateways` name, as it is in a test. */
export interface Places {
  /** `host:port` of userlock and of the app behind the gateway. */
  userlock: string;
  app: string;
  /** PEM files. */
  cert: string;
  key: string;
  /** USERLOCK_AUTHZ_TOKEN. */
  token: string;
  /** Whether the gateway waits for userlock as long as a busy host may take. */
  isPatient?: boolean;
}

/** A gateway in its own process, with the files of `deploy/gateways` and no other change than those of `Places`. */
export interface Gateway {
  name: string;
  /** The port on 127.0.0.1, with TLS. */
  port: number;
  /** What it has printed. */
  printed(): string;
  stop(): Promise<void>;
}

/** As root, nginx would run its workers as a user who cannot enter the test's folder. */
const USER = process.getuid?.() === 0 ? "user root;" : "";

interface Kind {
  program: string;
  files: string[];
  args(main: string): string[];
  /** Arguments that check the files. */
  check(main: string): string[];
}

export const KINDS: Record<string, Kind> = {
  nginx: {
    program: "/usr/sbin/nginx",
    files: ["nginx.conf", "userlock-request.conf"],
    args: (main) => ["-e", "stderr", "-c", main, "-g", `${USER} daemon off;`],
    check: (main) => ["-t", "-q", "-e", "stderr", "-c", main, "-g", USER],
  },
  caddy: {
    program: "/usr/bin/caddy",
    files: ["Caddyfile"],
    args: (main) => ["run", "--adapter", "caddyfile", "--config", main],
    check: (main) => ["validate", "--adapter", "caddyfile", "--config", main],
  },
  haproxy: {
    program: "/usr/sbin/haproxy",
    files: ["haproxy.cfg", "userlock.lua"],
    args: (main) => ["-db", "-f", main],
    check: (main) => ["-c", "-q", "-f", main],
  },
};

/** Writes the gateway's files with the test's places into the folder. Returns the path of the main file. */
export function writeFiles(name: string, folder: string, port: number, places: Places): string {
  const { files } = KINDS[name] as Kind;
  mkdirSync(folder, { recursive: true });
  const secrets = join(folder, "secrets");
  mkdirSync(secrets, { recursive: true });
  const [cert, key] = [readFileSync(places.cert), readFileSync(places.key)];
  writeFileSync(join(secrets, "tls-cert"), cert);
  writeFileSync(join(secrets, "tls-key"), key);
  writeFileSync(join(secrets, "tls.pem"), Buffer.concat([cert, key]));
  writeFileSync(join(secrets, "userlock-gateway.conf"), `proxy_set_header X-Userlock-Gateway "${places.token}";\n`);
  for (const file of files) {
    const text = readFileSync(`deploy/gateways/${name}/${file}`, "utf8")
      .replaceAll(/\b(250|950)ms\b/g, places.isPatient ? "30s" : "$1ms")
      .replace("TIMEOUT_MS = 3000", `TIMEOUT_MS = ${places.isPatient ? 90_000 : 3_000}`)
      .replaceAll("/tmp/", `${folder}/tmp-`)
      .replace(/\buserlock:8080\b/g, places.userlock)
      .replace(/\bapp:3000\b/g, places.app)
      .replace(/:8443\b/g, `:${port}`)
      .replace("listen 8443", `listen ${port}`)
      .replaceAll("/run/secrets/", `${secrets}/`)
      .replaceAll(`/etc/${name}/`, `${folder}/`)
      .replaceAll("abns@userlock-authz", `abns@userlock-authz-${port}`)
      .replace("worker_processes auto", "worker_processes 1");
    writeFileSync(join(folder, file), text);
  }
  return join(folder, files[0] as string);
}

/** The environment of a gateway. */
export const environmentOf = (folder: string, { token }: Places): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH,
  HOME: folder,
  USERLOCK_AUTHZ_TOKEN: token,
});

/** Starts a gateway in a folder of the test. Resolves when it listens, rejects with its output if it ends. */
export async function startGateway(name: string, folder: string, places: Places): Promise<Gateway> {
  const { program, args } = KINDS[name] as Kind;
  const port = await freePort();
  const main = writeFiles(name, folder, port, places);
  const child = spawn(program, args(main), {
    env: environmentOf(folder, places),
    stdio: ["ignore", "ignore", "pipe"],
    timeout: 180_000,
  });
  let printed = "";
  child.stderr.setEncoding("utf8").on("data", (chunk) => {
    printed += chunk;
  });
  const isOver = () => child.exitCode !== null || child.signalCode !== null;
  async function stop(): Promise<void> {
    if (isOver()) return;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), 3_000);
    await ended;
    clearTimeout(timer);
  }
  await once(child, "spawn");
  for (let waited = 0; !(await listens(port)); waited += 20) {
    if (isOver() || waited > 10_000) {
      await stop();
      throw new Error(`${name} does not serve: ${printed}`);
    }
    await sleep(20);
  }
  return { name, port, printed: () => printed, stop };
}

/** Whether a connection to the port on 127.0.0.1 opens. */
export async function listens(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

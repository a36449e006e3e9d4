import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../test/support/servers/free-port.ts";
import { http1Wires } from "../load/http1-wire.ts";
import type { OpenWire } from "../load/wire.ts";
import type { Bench, Side } from "../support/compare.ts";
import { temporaryFolder } from "../support/files.ts";
import { callingOf, rateOf } from "../support/lock-rate.ts";
import { type Program, startPeer } from "../support/program.ts";
import { startWithSessions } from "./introspection.ts";

const FILES = "deploy/gateways/nginx";
/** As root, nginx would run its workers as a user who cannot enter the folder. */
const USER = process.getuid?.() === 0 ? "user root;" : "";
const CONNECTIONS = 64;
const START_MS = 10_000;

/** Requests to an app behind nginx, which asks for each. nginx shares the core of the server that it asks. */
export const nginx: Bench = {
  name: "requests through nginx that asks userlock ÷ the same nginx that asks bare node:http",
  bound: 0.7,
  aim: 0.9,
  async ours() {
    const { server, tokens } = await startWithSessions();
    return behindNginx(server, tokens);
  },
  theirs: async () => behindNginx(await startPeer("http"), ["x".repeat(60)]),
};

async function behindNginx(asked: Program, tokens: readonly string[]): Promise<Side> {
  const gateway = await startNginx(asked);
  let opened = 0;
  const open: OpenWire = (listener) => {
    const headers = { authorization: `Bearer ${tokens[opened++ % tokens.length]}` };
    const calls = { url: gateway.url, path: "/", headers, body: () => Buffer.alloc(0), expected: () => "the app" };
    return http1Wires(calls)(listener);
  };
  return rateOf(callingOf(gateway, open), { connections: CONNECTIONS, inFlight: CONNECTIONS });
}

/**
 * Starts nginx with the files of `deploy/gateways`, without TLS, in front of an app that nginx itself answers for. The
 * program's CPU time and end are those of the asked server, too.
 */
async function startNginx(asked: Program): Promise<Program> {
  const { file, remove } = temporaryFolder();
  const [port, app] = [await freePort(), await freePort()];
  cpSync(`${FILES}/userlock-request.conf`, file("userlock-request.conf"));
  writeFileSync(file("userlock-gateway.conf"), "");
  for (const name of ["nginx.conf", "userlock-request.conf"]) {
    const text = readFileSync(`${FILES}/${name}`, "utf8")
      .replaceAll("/tmp/", `${file("tmp")}-`)
      .replace("server userlock:8080", `server ${new URL(asked.url).host}`)
      .replace("server app:3000", `server 127.0.0.1:${app}`)
      .replace("listen 8443 ssl http2", `listen 127.0.0.1:${port}`)
      .replaceAll(/^ +ssl_.*\n/gm, "")
      .replaceAll("/etc/nginx/", `${file("")}/`)
      .replaceAll("/run/secrets/", `${file("")}/`)
      .replace("worker_processes auto", "worker_processes 1")
      .replace(
        "\n  server {\n",
        `\n  server {\n    listen 127.0.0.1:${app};\n    return 200 "the app";\n  }\n  server {\n`,
      );
    writeFileSync(file(name), text);
  }
  const command = ["-c", "0", "/usr/sbin/nginx", "-e", "stderr", "-c", file("nginx.conf"), "-g"];
  const child = spawn("taskset", [...command, `${USER} daemon off; master_process off;`], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const kill = () => child.kill("SIGTERM");
  process.once("exit", kill);
  const program: Program = {
    ...asked,
    url: `http://127.0.0.1:${port}`,
    // The first number is CPU time in nanoseconds.
    cpu: () => asked.cpu() + Number(readFileSync(`/proc/${child.pid}/schedstat`, "latin1").split(" ")[0]) / 1_000_000,
    async stop() {
      process.off("exit", kill);
      const ended = once(child, "exit");
      kill();
      if (child.exitCode === null) await ended;
      await asked.stop();
      remove();
    },
  };
  for (let waited = 0; !(await listens(port)); waited += 20) {
    if (waited > START_MS || child.exitCode !== null) {
      await program.stop();
      throw new Error("nginx does not serve");
    }
    await sleep(20);
  }
  return program;
}

function listens(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  return new Promise((resolve) => {
    socket.on("connect", () => resolve(true)).on("error", () => resolve(false));
  }).then((isOpen) => {
    socket.destroy();
    return isOpen as boolean;
  });
}

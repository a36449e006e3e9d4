import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { StartOptions } from "../../../src/server.ts";

export const ADMIN_TOKEN = "test-token-of-the-instance-owner";

/** A low hash cost, because few tests depend on it. */
const CHEAP_HASHES = { USERLOCK_ARGON2: "m=64,t=1,p=1" };

/** Options for a server that refuses many logins. */
export const QUICK: StartOptions = { loginSlotMs: 10 };

/** A userlock server in its own process, as operators run it. */
export interface ServerProcess {
  url: string;
  child: ChildProcessByStdio<null, Readable, Readable>;
  /** The output so far. */
  stdout(): string;
  stderr(): string;
  /** Sends the signal and resolves with the exit code, or null if the signal killed it. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/**
 * Starts a server on a free port. Resolves when it listens, rejects with its output if it ends. Options go to `start`.
 * Bundled and without warm-up, a server starts with 0.6 s of CPU time instead of 1.4 s.
 */
export function startServer(environment: Record<string, string> = {}, options: StartOptions = {}) {
  const program = process.env.BUNDLED_SERVER as string;
  return startProgram([program, JSON.stringify({ warmUp: false, ...options })], environment);
}

/** Starts a server with `userlock serve`, for tests of exit codes, signals and output. */
export function startUserlock(environment: Record<string, string> = {}) {
  return startProgram(["src/main.ts", "serve"], environment);
}

async function startProgram(program: string[], environment: Record<string, string>): Promise<ServerProcess> {
  const child = spawn(process.execPath, program, {
    env: {
      ...withoutSettings(process.env),
      USERLOCK_LISTEN: "127.0.0.1:0",
      USERLOCK_STORE: "sqlite::memory:",
      USERLOCK_ADMIN_TOKEN: ADMIN_TOKEN,
      ...CHEAP_HASHES,
      ...environment,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const url = await new Promise<string>((resolve, reject) => {
    child.on("exit", (code) => reject(new Error(`the server ended with ${code}:\n${stdout}${stderr}`)));
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
      const address = /^userlock listening on (\S+)$/m.exec(stdout)?.[1];
      if (address) resolve(address);
    });
  });
  return {
    url,
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    async stop(signal = "SIGTERM") {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
      const exited = once(child, "exit");
      child.kill(signal);
      const [code] = await exited;
      return code;
    },
  };
}

/** A folder that the test removes. */
export function temporaryFolder(): { path: string; file(name: string): string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "userlock-"));
  return {
    path,
    file: (name) => join(path, name),
    remove: () => rmSync(path, { recursive: true, force: true, maxRetries: 5 }),
  };
}

/** The environment without the userlock settings of this machine. */
export function withoutSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !/^(USERLOCK|OTEL)_/.test(name)));
}

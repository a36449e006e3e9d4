import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** A client in another language, which prints a line of JSON for each of its checks. */
export interface Program {
  /** Resolves if the program prints `{"check": name}`. Rejects with its error, or if the program ends without it. */
  passed(check: string): Promise<void>;
  /** Resolves when the program prints `{"ready": name}`. Rejects if the program ends without it. */
  ready(name: string): Promise<void>;
  /** Closes the program's stdin, which tells a program under load to finish. */
  endInput(): void;
  /** Resolves with all names of checks that the program printed, once it has ended with 0. */
  ended(): Promise<string[]>;
  /** Kills the program if it still runs. */
  stop(): Promise<void>;
}

export interface ProgramOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** The program is killed after this time. */
  timeLimitMs?: number;
}

/**
 * Starts a program. Each line of its stdout that is JSON reports a check: `{"check": "locks a user"}` if it passed,
 * `{"check": "locks a user", "error": "…"}` if not. Other lines are only part of the output that a failure shows.
 */
export function startProgram(
  command: string,
  args: readonly string[],
  { cwd, env = process.env, timeLimitMs = 300_000 }: ProgramOptions = {},
): Program {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], env, ...(cwd !== undefined && { cwd }) });
  const output: string[] = [];
  const results = new Map<string, Error | undefined>();
  const arrived = new Set<string>();
  const waiting = new Set<() => void>();
  let end: string | undefined;
  const wake = () => {
    for (const check of waiting) check();
  };
  const finish = (how: string) => {
    end = how;
    clearTimeout(timer);
    wake();
  };
  const timer = setTimeout(() => {
    output.push(`killed after ${timeLimitMs / 1000} s`);
    child.kill("SIGKILL");
  }, timeLimitMs);
  child.stdin.on("error", () => {});
  child.stderr.setEncoding("utf8").on("data", (text: string) => output.push(text));
  const lines = createInterface(child.stdout);
  lines.on("line", (line) => {
    output.push(line);
    const report = reportOf(line);
    if (report?.ready !== undefined) arrived.add(report.ready);
    if (report?.check !== undefined)
      results.set(report.check, report.error === undefined ? undefined : new Error(report.error));
    wake();
  });
  const closed = once(lines, "close");
  child.on("error", (error) => finish(`could not start: ${error.message}`));
  child.on("close", async (code, signal) => {
    await closed;
    finish(`ended with ${signal ?? code}`);
  });

  const failure = (what: string) => new Error(`${what}\n\n${command} ${end ?? "runs"}:\n${output.join("\n")}`);
  /** Waits until `isThere` or the end of the program. */
  const until = (isThere: () => boolean) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!isThere() && end === undefined) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });

  return {
    async passed(check) {
      await until(() => results.has(check));
      if (!results.has(check)) throw failure(`the program did not report "${check}"`);
      const error = results.get(check);
      if (error) throw failure(`"${check}" failed: ${error.message}`);
    },
    async ready(name) {
      await until(() => arrived.has(name));
      if (!arrived.has(name)) throw failure(`the program was never ready for "${name}"`);
    },
    endInput: () => child.stdin.end(),
    async ended() {
      await until(() => false);
      if (end !== "ended with 0") throw failure("the program failed");
      return [...results.keys()];
    },
    async stop() {
      if (end === undefined) child.kill("SIGKILL");
      await until(() => false);
    },
  };
}

function reportOf(line: string): { check?: string; ready?: string; error?: string } | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

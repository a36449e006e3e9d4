import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import type { Admin } from "./admin.ts";
import { runUserlock } from "./cli/commands.ts";
import type { Host, Screen, Surroundings } from "./cli/frame/command.ts";
import { CommandFailed, EX_CONFIG, EX_OK, EX_UNAVAILABLE } from "./cli/frame/errors.ts";
import { ConfigError, consoleAddress, describeConfig, readConfig } from "./config/config.ts";
import { createLogger } from "./log.ts";
import type { Server } from "./server.ts";

// Loaded only by the commands that need it: without it the others start a third faster.
const loadServer = () => import("./server.ts");

/** What the command line has around it: a process, or a test. */
export interface Streams {
  env: NodeJS.ProcessEnv;
  stdin(): AsyncIterable<string>;
  stdout: Screen;
  stderr: Screen;
  isInteractive?: boolean;
  outputEnded?: AbortSignal;
  flush?(): Promise<void>;
}

/** Runs the command line. Resolves with the exit code. */
export function run(args: string[], streams: Streams): Promise<number> {
  const outputEnded = new AbortController().signal;
  const flush = async () => {};
  return runUserlock(args, { isInteractive: false, outputEnded, flush, ...streams, untilSignal, host });
}

const host: Host = {
  serve,
  async checkServer(env) {
    const config = settingsOf(readConfig, env);
    const { checkSelf } = await import("./transport/http/self-check.ts");
    return { address: `${config.host}:${config.port}`, state: await checkSelf(config) };
  },
  describeSettings: (env) => settingsOf(describeConfig, env),
  consoleAddress: (env) => consoleAddress(settingsOf(readConfig, env)),
  withDemoServer,
  async withStore(env, work) {
    let admin: Admin;
    try {
      const { openAdmin } = await import("./admin.ts");
      admin = await openAdmin(readConfig(env as NodeJS.ProcessEnv));
    } catch (error) {
      if (error instanceof ConfigError) throw notStarted(error);
      throw new CommandFailed((error as Error).message, EX_UNAVAILABLE, { cause: error });
    }
    try {
      await work(admin);
    } finally {
      await admin.close();
    }
  },
};

async function untilSignal<Result>(work: (stop: AbortSignal) => Promise<Result>): Promise<Result> {
  const stop = new AbortController();
  // A second signal of either kind ends the process at once.
  const ignore = () => process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  const onSignal = () => {
    stop.abort();
    ignore();
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  try {
    return await work(stop.signal);
  } finally {
    ignore();
  }
}

async function serve({ env, stdout }: Surroundings): Promise<number> {
  let server: Server;
  try {
    const config = readConfig(env as NodeJS.ProcessEnv);
    const { start, poolSize } = await loadServer();
    // Node reads it at the first use of its thread pool, which is later.
    process.env.UV_THREADPOOL_SIZE ??= String(poolSize(config.hashThreads));
    const log = createLogger(config.logLevel);
    const settings = describeConfig(env as NodeJS.ProcessEnv).filter(({ value }) => value !== "");
    log.info({ settings: Object.fromEntries(settings.map(({ name, value }) => [name, value])) }, "starting");
    server = await start(config, log);
  } catch (error) {
    throw notStarted(error);
  }

  const tokenPlace = server.tokenFile === undefined ? "" : `The first token is in ${resolve(server.tokenFile)}\n`;
  const hint = stdout.isTTY ? `${firstSteps(server, env as NodeJS.ProcessEnv)}\n` : tokenPlace;
  const consolePlace = server.consoleUrl === undefined ? "" : `The console is at ${server.consoleUrl}\n`;
  stdout.write(`userlock listening on ${server.url}\n${consolePlace}${hint}`);
  // A second signal kills the process: process.exit would wait for a thread that waits for the disk.
  await untilSignal((stop) => new Promise((done) => stop.addEventListener("abort", done, { once: true })));
  await server.close();
  return EX_OK;
}

function settingsOf<Result>(read: (env: NodeJS.ProcessEnv) => Result, env: Surroundings["env"]): Result {
  try {
    return read(env as NodeJS.ProcessEnv);
  } catch (error) {
    throw notStarted(error);
  }
}

function notStarted(error: unknown): CommandFailed {
  if (!(error instanceof ConfigError)) {
    const message = `userlock does not start: ${(error as Error).message}`;
    return new CommandFailed(message, EX_UNAVAILABLE, { cause: error });
  }
  const problems = error.problems.map((problem) => `\n  ${problem}`).join("");
  return new CommandFailed(`userlock does not start, because its settings are wrong:${problems}`, EX_CONFIG);
}

async function withDemoServer(work: (url: string, token: string) => Promise<void>): Promise<void> {
  const { start } = await loadServer();
  const token = randomBytes(16).toString("hex");
  const config = readConfig({
    USERLOCK_LISTEN: "127.0.0.1:0",
    USERLOCK_STORE: "sqlite::memory:",
    USERLOCK_ADMIN_TOKEN: token,
    // Its automatic lock is a warning.
    USERLOCK_LOG_LEVEL: "error",
  });
  const server = await start(config, createLogger(config.logLevel));
  try {
    await work(server.url, token);
  } finally {
    await server.close();
  }
}

/** Lines to paste, with the address and the token; if the token is not known here, how to make one. */
function firstSteps({ url, tokenFile, consoleUrl }: Server, env: NodeJS.ProcessEnv): string {
  const given = env.USERLOCK_ADMIN_TOKEN ? "$USERLOCK_ADMIN_TOKEN" : undefined;
  const token = tokenFile === undefined ? (given ?? "$USERLOCK_TOKEN") : `$(cat ${tokenFile})`;
  const isMissing = tokenFile === undefined && given === undefined;
  const making = "export USERLOCK_TOKEN=$(npm run -s userlock -- admin token)";
  const console = consoleUrl && "\nOpen the console, logged in, by the link of:\n  npm run -s userlock -- console\n";
  const curl = `curl -H "Authorization: Bearer ${token}"`;
  const users = `${url}/resources/v3alpha/users`;
  return `${isMissing ? `\nThe first token is not in a file here. Use one that you have, or make one:\n  ${making}\n` : ""}${console ?? ""}
Create a user, lock the user, try it again:
  ${curl} --json '{"userId":"mallory"}' ${users}
  ${curl} --json '{"reason":"suspicious-login"}' ${users}/mallory/_lock
  ${curl} --json '{}' ${users}/mallory/_lock
`;
}

/** Runs the command line of this process, and sets its exit code. */
export async function main(): Promise<void> {
  const { env, stdin, stdout, stderr } = process;
  const output = new AbortController();
  stdout.on("error", (error) => output.abort(error));
  // An error about stderr has no place to go.
  stderr.on("error", () => {});
  const isInteractive = stdin.isTTY && stderr.isTTY;
  const flush = () => new Promise<void>((resolve) => stdout.write("", () => setImmediate(resolve)));
  const around = { env, stdin: () => stdin.setEncoding("utf8"), stdout, stderr, isInteractive, flush };
  process.exitCode = await run(process.argv.slice(2), { ...around, outputEnded: output.signal });
  // A question may still wait for its answer.
  stdin.destroy();
  // The command may still run, although nothing reads its output.
  if (output.signal.aborted) process.exit();
}

if (import.meta.main) await main();

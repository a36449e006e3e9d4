import { randomBytes } from "node:crypto";
import type { Admin } from "./admin.ts";
import { ADMIN_USAGE, runAdmin } from "./cli/admin.ts";
import { runBulk } from "./cli/bulk/bulk.ts";
import { BULK_USAGE } from "./cli/bulk/options.ts";
import type { Screen } from "./cli/bulk/progress.ts";
import { EX_OK, EX_UNAVAILABLE, EX_USAGE, explain } from "./cli/client.ts";
import { runToken, TOKEN_USAGE } from "./cli/token.ts";
import { ConfigError, readConfig } from "./config.ts";
import { createLogger } from "./log.ts";
import type { Server } from "./server.ts";

/** Exit code of sysexits.h. */
const EX_CONFIG = 78;

const USAGE = `Usage:
  userlock [serve]          serve, with the settings of the environment (README.md lists them)
  userlock demo             show the API on a server that keeps nothing
${BULK_USAGE}${TOKEN_USAGE}${ADMIN_USAGE}  userlock help             print this

lock, unlock and token talk to the server at USERLOCK_URL (default http://127.0.0.1:8080) with the token in
USERLOCK_TOKEN; admin works on the store in USERLOCK_STORE itself, with the server down or up.
`;

/** Settings or a store, its cause, with which there is nothing to be done. */
class NotStarted extends Error {}

// Loaded only by the commands that need it: the others start a third faster without it.
const loadServer = () => import("./server.ts");

/** What the command line has around it: a process, or a test. */
export interface Surroundings {
  env: NodeJS.ProcessEnv;
  stdin(): AsyncIterable<string>;
  stdout: Screen;
  stderr: Screen;
}

/** Runs the command line. Resolves with the exit code. */
export async function run([command = "serve", ...args]: string[], around: Surroundings): Promise<number> {
  const print = (line: string) => void around.stdout.write(`${line}\n`);
  switch (command) {
    case "serve":
      return args.length === 0 ? serve(around, print) : misused(`serve takes no arguments: ${args.join(" ")}`, around);
    case "demo":
      return demo(print);
    case "lock":
    case "unlock":
      return bulk(command, args, around);
    case "token":
      return client(() => runToken(args, around.env, print), around);
    case "admin":
      return client(() => runAdmin(args, (work) => withStore(around.env, work), print), around);
    case "help":
    case "--help":
      around.stdout.write(USAGE);
      return EX_OK;
    default:
      return misused(`there is no command ${command}`, around);
  }
}

function misused(why: string, { stderr }: Surroundings): number {
  stderr.write(`userlock: ${why}\n\n${USAGE}`);
  return EX_USAGE;
}

const ignoreError = () => {};

async function bulk(action: "lock" | "unlock", args: string[], around: Surroundings): Promise<number> {
  const stop = new AbortController();
  // A second signal, also the other one, ends the process at once.
  const ignore = () => process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  const onSignal = () => {
    stop.abort();
    ignore();
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  // A reader that no longer wants the failures does not stop the rest.
  process.stdout.off("error", ignoreError).on("error", ignoreError);
  try {
    return await client(() => runBulk(action, args, around.env, { ...around, stop: stop.signal }), around);
  } finally {
    ignore();
  }
}

/** The exit code that the work resolves with, or that of the error that it rejects with, after a line about it. */
async function client(work: () => Promise<number>, around: Surroundings): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof NotStarted) return refuseToStart(error.cause, around);
    const { message, exitCode } = explain(error);
    around.stderr.write(`userlock: ${message}\n`);
    return exitCode;
  }
}

async function withStore(env: NodeJS.ProcessEnv, work: (admin: Admin) => Promise<void>): Promise<void> {
  let admin: Admin;
  try {
    const { openAdmin } = await import("./admin.ts");
    admin = await openAdmin(readConfig(env));
  } catch (cause) {
    throw new NotStarted("", { cause });
  }
  try {
    await work(admin);
  } finally {
    await admin.close();
  }
}

async function serve(around: Surroundings, print: (line: string) => void): Promise<number> {
  let server: Server;
  try {
    const config = readConfig(around.env);
    const { start, poolSize } = await loadServer();
    // Node reads it when its pool of threads is first used, which is later.
    process.env.UV_THREADPOOL_SIZE ??= String(poolSize(config.hashThreads));
    server = await start(config, createLogger(config.logLevel));
  } catch (error) {
    return refuseToStart(error, around);
  }

  print(`userlock listening on ${server.url}`);
  if (around.stdout.isTTY) print(firstSteps(server, around.env));
  await new Promise<void>((resolve) => {
    const stop = () => {
      resolve();
      // A second signal means now. Not by process.exit, which waits for a thread that waits for the disk.
      process.off("SIGTERM", stop).off("SIGINT", stop);
    };
    process.on("SIGTERM", stop).on("SIGINT", stop);
  });
  await server.close();
  return EX_OK;
}

function refuseToStart(error: unknown, { stderr }: Surroundings): number {
  if (!(error instanceof ConfigError)) {
    stderr.write(`userlock does not start: ${(error as Error).message}\n`);
    return EX_UNAVAILABLE;
  }
  const problems = error.problems.map((problem) => `  ${problem}\n`).join("");
  stderr.write(`userlock does not start, because its settings are wrong:\n${problems}`);
  return EX_CONFIG;
}

async function demo(print: (line: string) => void): Promise<number> {
  const [{ start }, { runDemo }, { runLoginDemo }] = await Promise.all([
    loadServer(),
    import("./cli/demo/protocols.ts"),
    import("./cli/demo/logins.ts"),
  ]);
  const token = randomBytes(16).toString("hex");
  const config = readConfig({
    USERLOCK_LISTEN: "127.0.0.1:0",
    USERLOCK_STORE: "sqlite::memory:",
    USERLOCK_ADMIN_TOKEN: token,
    USERLOCK_LOG_LEVEL: "warn",
  });
  const server = await start(config, createLogger(config.logLevel));
  try {
    await runDemo(server.url, token, print);
    await runLoginDemo(server.url, token, print);
    print("\nDone. `npm start` serves; README.md has the rest.");
  } finally {
    await server.close();
  }
  return EX_OK;
}

/** Lines to paste, with the address and the token; if the token is not known here, how to make one. */
function firstSteps({ url, tokenFile }: Server, env: NodeJS.ProcessEnv): string {
  const given = env.USERLOCK_ADMIN_TOKEN ? "$USERLOCK_ADMIN_TOKEN" : undefined;
  const token = tokenFile === undefined ? (given ?? "$USERLOCK_TOKEN") : `$(cat ${tokenFile})`;
  const isMissing = tokenFile === undefined && given === undefined;
  const making = "export USERLOCK_TOKEN=$(npm run -s userlock -- admin token)";
  const curl = `curl -H "Authorization: Bearer ${token}"`;
  const users = `${url}/resources/v3alpha/users`;
  return `${isMissing ? `\nThe first token is not in a file here. Use one that you have, or make one:\n  ${making}\n` : ""}
Create a user, lock the user, try it again:
  ${curl} --json '{"userId":"mallory"}' ${users}
  ${curl} --json '{"reason":"suspicious-login"}' ${users}/mallory/_lock
  ${curl} --json '{}' ${users}/mallory/_lock
`;
}

if (import.meta.main) {
  const { env, stdin, stdout, stderr } = process;
  process.exitCode = await run(process.argv.slice(2), { env, stdin: () => stdin.setEncoding("utf8"), stdout, stderr });
}

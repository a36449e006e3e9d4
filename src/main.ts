import { randomBytes } from "node:crypto";
import type { Admin } from "./admin.ts";
import { ADMIN_USAGE, runAdmin } from "./cli/admin.ts";
import { runBulk } from "./cli/bulk/bulk.ts";
import { BULK_USAGE } from "./cli/bulk/options.ts";
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

// Loaded by the commands that need it alone: without it, whoever locks somebody from a shell waits a third less.
const loadServer = () => import("./server.ts");

const print = (line: string) => process.stdout.write(`${line}\n`);

const [command = "serve", ...args] = process.argv.slice(2);
process.exitCode = await run(command, args);

async function run(command: string, args: string[]): Promise<number> {
  switch (command) {
    case "serve":
      return args.length === 0 ? serve() : misused(`serve takes no arguments: ${args.join(" ")}`);
    case "demo":
      return demo();
    case "lock":
    case "unlock":
      return bulk(command);
    case "token":
      return client(() => runToken(args, process.env, print));
    case "admin":
      return client(() => runAdmin(args, withStore, print));
    case "help":
    case "--help":
      process.stdout.write(USAGE);
      return EX_OK;
    default:
      return misused(`there is no command ${command}`);
  }
}

function misused(why: string): number {
  process.stderr.write(`userlock: ${why}\n\n${USAGE}`);
  return EX_USAGE;
}

async function bulk(action: "lock" | "unlock"): Promise<number> {
  const stop = new AbortController();
  const onSignal = () => {
    stop.abort();
    // A second signal, be it the other one, ends it at once.
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  // Whoever does not want to hear who failed any more does not stop the rest.
  process.stdout.on("error", () => {});
  const { stdout, stderr } = process;
  const stdin = () => process.stdin.setEncoding("utf8");
  return client(() => runBulk(action, args, process.env, { stdin, stdout, stderr, stop: stop.signal }));
}

/** The exit code that the work resolves with, or that of the error that it rejects with, after a line about it. */
async function client(work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof NotStarted) return refuseToStart(error.cause);
    const { message, exitCode } = explain(error);
    process.stderr.write(`userlock: ${message}\n`);
    return exitCode;
  }
}

async function withStore(work: (admin: Admin) => Promise<void>): Promise<void> {
  let admin: Admin;
  try {
    const { openAdmin } = await import("./admin.ts");
    admin = await openAdmin(readConfig(process.env));
  } catch (cause) {
    throw new NotStarted("", { cause });
  }
  try {
    await work(admin);
  } finally {
    await admin.close();
  }
}

async function serve(): Promise<number> {
  let server: Server;
  try {
    const config = readConfig(process.env);
    const { start, poolSize } = await loadServer();
    // Node reads it when its pool of threads is first used, which is later.
    process.env.UV_THREADPOOL_SIZE ??= String(poolSize(config.hashThreads));
    server = await start(config, createLogger(config.logLevel));
  } catch (error) {
    return refuseToStart(error);
  }

  print(`userlock listening on ${server.url}`);
  if (process.stdout.isTTY) print(firstSteps(server));
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

function refuseToStart(error: unknown): number {
  if (!(error instanceof ConfigError)) {
    process.stderr.write(`userlock does not start: ${(error as Error).message}\n`);
    return EX_UNAVAILABLE;
  }
  const problems = error.problems.map((problem) => `  ${problem}\n`).join("");
  process.stderr.write(`userlock does not start, for its settings are wrong:\n${problems}`);
  return EX_CONFIG;
}

async function demo(): Promise<number> {
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

/**
 * Lines to paste, with the address and the token as they are; where the token is not known here, how to come by one.
 */
function firstSteps({ url, tokenFile }: Server): string {
  const given = process.env.USERLOCK_ADMIN_TOKEN ? "$USERLOCK_ADMIN_TOKEN" : undefined;
  const token = tokenFile === undefined ? (given ?? "$USERLOCK_TOKEN") : `$(cat ${tokenFile})`;
  const isMissing = tokenFile === undefined && given === undefined;
  const making = "export USERLOCK_TOKEN=$(npm run -s userlock -- admin token)";
  const curl = `curl -H "Authorization: Bearer ${token}"`;
  const users = `${url}/resources/v3alpha/users`;
  return `${isMissing ? `\nThe first token is not in a file here. Use one that you have, or make one:\n  ${making}\n` : ""}
Create a user, lock him, lock him again:
  ${curl} --json '{"userId":"mallory"}' ${users}
  ${curl} --json '{"reason":"suspicious-login"}' ${users}/mallory/_lock
  ${curl} --json '{}' ${users}/mallory/_lock
`;
}

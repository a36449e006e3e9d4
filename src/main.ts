import { ConfigError, readConfig } from "./config.ts";
import { createLogger } from "./log.ts";
import { start } from "./server.ts";

/** Exit codes of sysexits.h. */
const EX_USAGE = 64;
const EX_UNAVAILABLE = 69;
const EX_CONFIG = 78;

const USAGE = `Usage:
  userlock [serve]          serve, with the settings of the environment (see README.md)
  userlock help             print this
`;

const [command = "serve", ...rest] = process.argv.slice(2);
process.exitCode = await run(command, rest);

async function run(command: string, _rest: string[]): Promise<number> {
  switch (command) {
    case "serve":
      return serve();
    case "help":
    case "--help":
      process.stdout.write(USAGE);
      return 0;
    default:
      process.stderr.write(`userlock: there is no command ${command}\n\n${USAGE}`);
      return EX_USAGE;
  }
}

async function serve(): Promise<number> {
  const server = await startFromEnvironment();
  if (typeof server === "number") return server;
  process.stdout.write(`userlock listening on ${server.url}\n`);
  if (process.stdout.isTTY) process.stdout.write(firstSteps(server.url, server.tokenFile));

  await new Promise<void>((resolve) => {
    const onSignal = () => {
      resolve();
      // A second signal means now.
      process.on("SIGTERM", () => process.exit(1)).on("SIGINT", () => process.exit(1));
    };
    process.once("SIGTERM", onSignal).once("SIGINT", onSignal);
  });
  await server.close();
  return 0;
}

async function startFromEnvironment() {
  try {
    const config = readConfig(process.env);
    return await start(config, createLogger(config.logLevel));
  } catch (error) {
    if (error instanceof ConfigError) {
      const problems = error.problems.map((problem) => `  ${problem}\n`).join("");
      process.stderr.write(`userlock does not start, for its settings are wrong:\n${problems}`);
      return EX_CONFIG;
    }
    process.stderr.write(`userlock does not start: ${(error as Error).message}\n`);
    return EX_UNAVAILABLE;
  }
}

function firstSteps(url: string, tokenFile: string | undefined): string {
  const token = tokenFile ? `$(cat ${tokenFile})` : "$USERLOCK_ADMIN_TOKEN";
  const curl = `curl -H "Authorization: Bearer ${token}"`;
  const users = `${url}/resources/v3alpha/users`;
  return `
Create a user, lock him, lock him again:
  ${curl} --json '{"userId":"alice"}' ${users}
  ${curl} --json '{"reason":"suspicious-login"}' ${users}/alice/_lock
  ${curl} --json '{}' ${users}/alice/_lock
`;
}

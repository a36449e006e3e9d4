// The server with other limits: `node limited-server.ts '{"headersMs":300}'`. Settings come from the environment.
import { readConfig } from "../../../src/config/config.ts";
import { createLogger } from "../../../src/log.ts";
import { poolSize, start } from "../../../src/server.ts";

const config = readConfig(process.env);
// As in main.ts.
process.env.UV_THREADPOOL_SIZE ??= String(poolSize(config.hashThreads));
const server = await start(config, createLogger(config.logLevel), JSON.parse(process.argv[2] ?? "{}"));
process.stdout.write(`userlock listening on ${server.url}\n`);
process.once("SIGTERM", () => server.close());

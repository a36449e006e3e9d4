import { once } from "node:events";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildConsole } from "../../dev/build-console.ts";
import { packUserlock } from "./install/package.ts";
import { compileChecks } from "./openapi/compile-checks.ts";
import { bundleServer } from "./servers/bundle.js";
import { startCluster } from "./stores/postgres.ts";

/**
 * Jest runs this before all tests. It bundles the console and the server that tests start, compiles the checks of its answers, and serves
 * the address of a PostgreSQL server and the path of userlock's package. All test files share both. Each is made for the
 * first file that needs it, and PostgreSQL ends with the run.
 */
export default async function prepare() {
  const makers = { "/postgres": async () => (await startCluster()).url, "/package": packUserlock };
  const made = {};
  const server = createServer(async ({ url }, response) => {
    try {
      made[url] ??= makers[url]();
      response.end(await made[url]);
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  });
  server.listen(0, "127.0.0.1").unref();
  await once(server, "listening");
  // The cache halves the load time of programs that tests start.
  process.env.NODE_COMPILE_CACHE ??= join(tmpdir(), "userlock-compile-cache");
  await buildConsole();
  process.env.BUNDLED_SERVER = await bundleServer();
  process.env.ANSWER_CHECKS = await compileChecks();
  const shared = `http://127.0.0.1:${server.address().port}`;
  process.env.SHARED_POSTGRES = `${shared}/postgres`;
  process.env.SHARED_PACKAGE = `${shared}/package`;
}

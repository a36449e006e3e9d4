import { once } from "node:events";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileChecks } from "./openapi/compile-checks.ts";
import { bundleServer } from "./servers/bundle.js";
import { startCluster } from "./stores/postgres.ts";

/**
 * Jest runs this before all tests. It bundles the server that tests start, compiles the checks of its answers, and serves
 * the address of a PostgreSQL server that all test files share. PostgreSQL starts for the first file that needs it, and
 * ends with the run.
 */
export default async function prepare() {
  let cluster;
  const server = createServer(async (_request, response) => {
    try {
      cluster ??= startCluster();
      response.end((await cluster).url);
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  });
  server.listen(0, "127.0.0.1").unref();
  await once(server, "listening");
  // The cache halves the load time of programs that tests start.
  process.env.NODE_COMPILE_CACHE ??= join(tmpdir(), "userlock-compile-cache");
  process.env.BUNDLED_SERVER = await bundleServer();
  process.env.ANSWER_CHECKS = await compileChecks();
  process.env.SHARED_POSTGRES = `http://127.0.0.1:${server.address().port}`;
}

import { once } from "node:events";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startCluster } from "./stores/postgres.ts";

/**
 * Run by jest before all tests. Answers with the address of a PostgreSQL server that all test files share. It starts
 * for the first file that needs it, and ends with the run.
 */
export default async function sharePostgres() {
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
  // Programs that tests start load in half the time.
  process.env.NODE_COMPILE_CACHE ??= join(tmpdir(), "userlock-compile-cache");
  process.env.SHARED_POSTGRES = `http://127.0.0.1:${server.address().port}`;
}

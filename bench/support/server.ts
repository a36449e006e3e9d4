import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const TOKEN = "token-of-the-benchmark";

/** A server in a process of its own, on an SQLite file in a folder that goes with it. */
export interface BenchServer {
  url: string;
  token: string;
  headers: { authorization: string };
  /** A file in the folder; the server's own is `bench.db`. */
  file(name: string): string;
  stop(): Promise<void>;
}

/** `flags` are Node's. */
export async function startBenchServer(flags: readonly string[] = []): Promise<BenchServer> {
  const folder = mkdtempSync(join(tmpdir(), "userlock-bench-"));
  const file = (name: string) => join(folder, name);
  const server = spawn(process.execPath, [...flags, "src/main.ts"], {
    env: {
      ...process.env,
      USERLOCK_LISTEN: "127.0.0.1:0",
      USERLOCK_STORE: `sqlite:${file("bench.db")}`,
      USERLOCK_ADMIN_TOKEN: TOKEN,
      USERLOCK_LOG_LEVEL: "error",
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await once(server.stdout, "data");
  return {
    url: /listening on (\S+)/.exec(String(line))?.[1] as string,
    token: TOKEN,
    headers: { authorization: `Bearer ${TOKEN}` },
    file,
    async stop() {
      const exited = once(server, "exit");
      server.kill();
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

import { mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Program, type Start, startProgram } from "./program.ts";

export const TOKEN = "token-of-the-benchmark";

/** userlock in a process of its own, in a folder that goes with it. It logs as it does in production, to a file. */
export interface BenchServer extends Program {
  token: string;
  headers: { authorization: string };
  /** Where it keeps everything, as in USERLOCK_STORE. */
  store: string;
  /** A file in the folder. */
  file(name: string): string;
}

export interface ServerOptions extends Start {
  /** As in USERLOCK_STORE; left out, an SQLite file in the folder. */
  store?: string;
  /** Put in the place of its own. */
  limits?: object;
}

export async function startBenchServer({ store: given, limits, ...start }: ServerOptions = {}): Promise<BenchServer> {
  const folder = mkdtempSync(join(tmpdir(), "userlock-bench-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once("exit", remove);
  const file = (name: string) => join(folder, name);
  const store = given ?? `sqlite:${file("bench.db")}`;
  const env = {
    ...process.env,
    ...start.env,
    USERLOCK_LISTEN: "127.0.0.1:0",
    USERLOCK_STORE: store,
    USERLOCK_ADMIN_TOKEN: TOKEN,
    USERLOCK_SECRET_KEY: Buffer.alloc(32).toString("base64"),
  };
  const args = limits ? ["test/support/limited-server.ts", JSON.stringify(limits)] : ["src/main.ts", "serve"];
  const program = await startProgram(args, { ...start, env, stderr: openSync(file("log"), "a") });
  return {
    ...program,
    token: TOKEN,
    headers: { authorization: `Bearer ${TOKEN}` },
    store,
    file,
    async stop() {
      await program.stop();
      process.off("exit", remove);
      remove();
    },
  };
}

import { openSync, readFileSync } from "node:fs";
import { temporaryFolder } from "./files.ts";
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

/** The settings of a server on a store. */
export const settingsOf = (store: string) => ({
  USERLOCK_LISTEN: "127.0.0.1:0",
  USERLOCK_STORE: store,
  USERLOCK_ADMIN_TOKEN: TOKEN,
  USERLOCK_SECRET_KEY: Buffer.alloc(32).toString("base64"),
});

export interface ServerOptions extends Start {
  /** As in USERLOCK_STORE; left out, an SQLite file in the folder. */
  store?: string;
  /** Put in the place of its own. */
  limits?: object;
}

export async function startBenchServer({ store: given, limits, ...start }: ServerOptions = {}): Promise<BenchServer> {
  const { file, remove } = temporaryFolder();
  const store = given ?? `sqlite:${file("bench.db")}`;
  const env = { ...process.env, ...start.env, ...settingsOf(store) };
  const args = limits ? ["test/support/servers/limited-server.ts", JSON.stringify(limits)] : ["src/main.ts", "serve"];
  const log = file("log");
  const program = await startProgram(args, { ...start, env, stderr: openSync(log, "a") }).catch((cause) => {
    throw new Error(readFileSync(log, "utf8"), { cause });
  });
  return {
    ...program,
    token: TOKEN,
    headers: { authorization: `Bearer ${TOKEN}` },
    store,
    file,
    async stop() {
      await program.stop();
      remove();
    },
  };
}

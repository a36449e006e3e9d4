import { openSync, readFileSync } from "node:fs";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { temporaryFolder } from "./files.ts";
import { type Program, type Start, startProgram } from "./program.ts";

export const TOKEN = "token-of-the-benchmark";
export const headers = { authorization: `Bearer ${TOKEN}` };

/** userlock in its own process and temporary folder. It logs to a file, as in production. */
export interface BenchServer extends Program {
  token: string;
  /** The store, as in USERLOCK_STORE. */
  store: string;
}

export interface ServerOptions extends Start {
  /** As in USERLOCK_STORE. The default is an SQLite file in the folder. */
  store?: string;
  /** Limits that replace the server's own. */
  limits?: object;
}

export async function startBenchServer({ store: given, limits, ...start }: ServerOptions = {}): Promise<BenchServer> {
  const { file, remove } = temporaryFolder();
  const store = given ?? `sqlite:${file("bench.db")}`;
  const settings = {
    USERLOCK_LISTEN: "127.0.0.1:0",
    USERLOCK_STORE: store,
    USERLOCK_ADMIN_TOKEN: TOKEN,
    USERLOCK_SECRET_KEY: Buffer.alloc(32).toString("base64"),
  };
  const env = { ...process.env, ...start.env, ...settings };
  const args = limits ? ["test/support/servers/limited-server.ts", JSON.stringify(limits)] : ["src/main.ts", "serve"];
  const log = file("log");
  const program = await startProgram(args, { ...start, env, stderr: openSync(log, "a") }).catch((cause) => {
    throw new Error(readFileSync(log, "utf8"), { cause });
  });
  return {
    ...program,
    token: TOKEN,
    store,
    async stop() {
      await program.stop();
      remove();
    },
  };
}

/** A client for calls that are not measured. */
export function usersOn({ url: baseUrl }: Pick<Program, "url">) {
  return createClient(UserService, createConnectTransport({ baseUrl, httpVersion: "1.1", acceptCompression: [] }));
}

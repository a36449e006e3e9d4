import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { withoutSettings } from "../servers/server-process.ts";
import type { Order, Outcome } from "./open-store.ts";

/** A process that opens, uses and closes a store for each order. */
export interface StoreProcess {
  carryOut(order: Order): Promise<Outcome>;
  /** Ends the process, and resolves with its output on stderr. */
  stop(): Promise<string>;
}

/** Resolves when the process is ready for its first order. `limit` is the maximum size of its files in bytes. */
export async function startStoreProcess(
  options: { nodeOptions?: string[]; asNobody?: boolean; limit?: number } = {},
): Promise<StoreProcess> {
  const command = [process.execPath, ...(options.nodeOptions ?? []), "test/support/stores/open-store.ts"];
  if (options.asNobody) command.push("--as-nobody");
  // ulimit counts blocks of 512 bytes in most shells. Others set a limit of the same order.
  if (options.limit !== undefined) {
    command.unshift("sh", "-c", `ulimit -S -f ${Math.ceil(options.limit / 512)} && exec "$@"`, "sh");
  }
  const [program, ...args] = command as [string, ...string[]];
  const child = spawn(program, args, { env: withoutSettings(process.env), stdio: ["pipe", "pipe", "pipe"] });
  const exited = once(child, "close");
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  async function nextLine(): Promise<string> {
    const { value, done } = await lines.next();
    if (done) throw new Error(`the process has ended:\n${stderr}`);
    return value;
  }

  await nextLine();
  return {
    async carryOut(order) {
      child.stdin.write(`${JSON.stringify(order)}\n`);
      return JSON.parse(await nextLine());
    },
    async stop() {
      child.stdin.end();
      await exited;
      return stderr;
    },
  };
}

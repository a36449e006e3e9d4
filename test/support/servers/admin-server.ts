import type { StartOptions } from "../../../src/server.ts";
import { type ServerProcess, startServer } from "./server-process.ts";

/** A server with an admin listener. */
export interface AdminServer extends ServerProcess {
  adminUrl: string;
  /** The metrics in the plain format. */
  metrics(): Promise<string>;
  /** The values of the series of a metric, by their labels as they are written. */
  series(name: string): Promise<Record<string, number>>;
}

/** Starts a server whose admin listener is on a free port. */
export async function startAdminServer(
  environment: Record<string, string> = {},
  options: StartOptions = {},
): Promise<AdminServer> {
  const server = await startServer({ USERLOCK_ADMIN_LISTEN: "127.0.0.1:0", ...environment }, options);
  const adminUrl = /"admin":"([^"]+)"/.exec(server.stderr())?.[1];
  if (adminUrl === undefined) throw new Error(`the log names no admin listener:\n${server.stderr()}`);
  const metrics = async () => (await fetch(`${adminUrl}/metrics`)).text();
  return {
    ...server,
    adminUrl,
    metrics,
    async series(name) {
      const lines = [...(await metrics()).matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, "gm"))];
      return Object.fromEntries(lines.map(([, labels = "", value]) => [labels, Number(value)]));
    },
  };
}

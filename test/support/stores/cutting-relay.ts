import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** When the connection of a statement is cut. */
export type Moment =
  /** The server never sees it. */
  | "before"
  /** The server has it, and whoever sent it is gone. */
  | "after"
  /** The server has carried it out, and its answer gets lost. */
  | "answer";

/** A TCP relay in front of a server that cuts connections in the middle of a statement. */
export interface CuttingRelay {
  port: number;
  /** Cuts the connection of the next statement in which the text occurs. */
  cut(moment: Moment, text: string): void;
  /** How often it has cut. */
  cuts(): number;
  stop(): Promise<void>;
}

export async function startCuttingRelay(target: { host: string; port: number }): Promise<CuttingRelay> {
  const sockets = new Set<Socket>();
  let next: { moment: Moment; text: string } | undefined;
  let cuts = 0;

  const server = createServer((client) => {
    const upstream = connect(target.port, target.host);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true).on("error", () => {});
    }
    let isDoomed = false;
    const cut = () => {
      cuts++;
      client.resetAndDestroy();
      // The server gets to the end of what it was sent.
      upstream.end();
    };
    client.on("data", (chunk) => {
      const moment = next && chunk.includes(next.text) ? next.moment : undefined;
      if (moment) next = undefined;
      if (moment === "before") return cut();
      upstream.write(chunk);
      if (moment === "after") return cut();
      if (moment === "answer") isDoomed = true;
    });
    upstream.on("data", (chunk) => {
      if (isDoomed) cut();
      else client.write(chunk);
    });
    client.on("close", () => upstream.end());
    upstream.on("close", () => client.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    cut(moment, text) {
      next = { moment, text };
    },
    cuts: () => cuts,
    async stop() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

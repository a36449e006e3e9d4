import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** When a statement's connection is cut. */
export type Moment =
  /** Before the server receives the statement. */
  | "before"
  /** After the server receives it; the client is gone. */
  | "after"
  /** After the server has executed it; the answer is lost. */
  | "answer";

/** A TCP relay in front of a server that cuts connections during a statement. */
export interface CuttingRelay {
  port: number;
  /** Cuts the connection of the next statement that contains the text. */
  cut(moment: Moment, text: string): void;
  /** The number of cuts so far. */
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
      // The server still reads everything that was sent.
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

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP relay in front of a server, on a free port, which records the bytes of both sides and can cut connections. */
export async function startRelay(target: { host: string; port: number }) {
  const sockets = new Set<Socket>();
  let isHeld = false;
  const seen = { connections: 0, toServer: Buffer.alloc(0), toClient: Buffer.alloc(0) };
  const server = createServer((client) => {
    seen.connections++;
    const upstream = connect(target.port, target.host);
    for (const [from, to, name] of [
      [client, upstream, "toServer"],
      [upstream, client, "toClient"],
    ] as const) {
      sockets.add(from);
      from.on("data", (chunk) => {
        seen[name] = Buffer.concat([seen[name], chunk]);
        if (!(isHeld && name === "toClient")) to.write(chunk);
      });
      from.on("error", () => {});
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** The number of connections since the start, and all their bytes. */
    seen,
    /** From now on, holds back all bytes from the server. */
    hold() {
      isHeld = true;
    },
    /** Cuts all connections. New connections get all bytes again. */
    cut() {
      for (const socket of sockets) socket.destroy();
      isHeld = false;
    },
    async stop() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/**
 * A TCP relay on a free port in front of a server, to see what a client and the server really send, and to cut it off.
 */
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
    /** Connections since the start, and all bytes of all of them. */
    seen,
    /** From now on clients get nothing of what the server sends. */
    hold() {
      isHeld = true;
    },
    /** Cuts all connections; new ones get everything again. */
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

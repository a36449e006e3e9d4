import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP relay on a free port in front of a server, to see what a client and the server really send. */
export async function startRelay(target: { host: string; port: number }) {
  const sockets = new Set<Socket>();
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
        to.write(chunk);
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
    async stop() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

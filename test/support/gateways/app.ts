import { hash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

/** What the app got. */
export interface Arrival {
  /** By the clock of `performance.now()`. */
  at: number;
  method: string;
  url: string;
  headers: IncomingHttpHeaders;
  /** Names and values in turn, as they came. */
  raw: string[];
}

/**
 * An app behind a gateway. It records each request, and answers with the arrival as JSON. It adds the length of the body, and echoes on WebSockets, without frames.
 */
export async function startApp() {
  const arrivals: Arrival[] = [];
  const server = createServer((request, response) => {
    const arrival = record(request);
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    // Not earlier: a Go server in front stops reading the body when the answer begins.
    request.on("end", () => {
      response.writeHead(200, { "content-type": "application/json", "x-app": "yes" });
      response.end(JSON.stringify({ ...arrival, bytes }));
    });
  });
  server.on("upgrade", (request, socket) => {
    record(request);
    const key = `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    socket.write(
      [
        "HTTP/1.1 101 Switching Protocols",
        `Upgrade: ${request.headers.upgrade}`,
        "Connection: Upgrade",
        `Sec-WebSocket-Accept: ${hash("sha1", key, "base64")}`,
        "",
        "",
      ].join("\r\n"),
    );
    socket.on("error", () => {});
    socket.pipe(socket);
  });

  function record({ method = "", url = "", headers, rawHeaders }: IncomingMessage): Arrival {
    const arrival = { at: performance.now(), method, url, headers, raw: rawHeaders };
    arrivals.push(arrival);
    return arrival;
  }

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    arrivals,
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

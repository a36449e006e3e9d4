// A REST lock, a token introspection (RFC 7662) and a check for a gateway that do nothing, on bare node:http: the least
// that a Node server can cost.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { announce } from "./announce.ts";
import { introspected, lockedInJson } from "./json.ts";

const LOCK = /^\/resources\/v3alpha\/users\/([^/]+)\/_lock$/;

const server = createServer((request, response) => {
  if (request.url?.startsWith("/authz")) {
    response.writeHead(200, { "content-length": 0 }).end();
    return;
  }
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (chunk) => {
    body += chunk;
  });
  request.on("end", () => {
    const id = LOCK.exec(request.url as string)?.[1];
    if (id !== undefined) JSON.parse(body);
    const answer = id === undefined ? introspected(new URLSearchParams(body).get("token") as string) : lockedInJson(id);
    const json = JSON.stringify(answer);
    response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(json) });
    response.end(json);
  });
});
server.listen(0, "127.0.0.1", () => announce(server.address() as AddressInfo));

// A gRPC LockUser that does nothing, on bare node:http2: the least that a Node server can cost.
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { announce } from "./announce.ts";
import { answerTo, lockUserMethod } from "./lock-user.ts";

const { path, requestDeserialize, responseSerialize } = lockUserMethod();
const OK = { ":status": 200, "content-type": "application/grpc" };
const TRAILERS = { "grpc-status": "0" };

const server = createServer();
server.on("stream", (stream, headers) => {
  stream.on("error", () => {});
  if (headers[":path"] !== path) return stream.respond({ ":status": 404 }, { endStream: true });
  let body: Buffer | undefined;
  stream.on("data", (chunk: Buffer) => {
    body = body ? Buffer.concat([body, chunk]) : chunk;
  });
  stream.on("end", () => {
    const answer = responseSerialize(answerTo(requestDeserialize((body as Buffer).subarray(5)).id));
    const frame = Buffer.allocUnsafe(5 + answer.length);
    frame[0] = 0;
    frame.writeUInt32BE(answer.length, 1);
    answer.copy(frame, 5);
    stream.respond(OK, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers(TRAILERS));
    stream.end(frame);
  });
});
server.listen(0, "127.0.0.1", () => announce(server.address() as AddressInfo));

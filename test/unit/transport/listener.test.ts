// Proves that a connection outlives a request that comes while an answer is still being written.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { createShares } from "../../../src/rpc/shares.ts";
import { listen } from "../../../src/transport/connections/listener.ts";
import type { Exchange } from "../../../src/transport/http/exchange.ts";
import { LIMITS } from "../../../src/transport/limits.ts";
import { makeCertificate } from "../../support/servers/certificate.ts";
import { temporaryFolder } from "../../support/servers/server-process.ts";

/** More than the buffers of both sides hold. */
const ANSWER = Buffer.alloc(32 * 1024 * 1024, "a");

const folder = temporaryFolder();
afterAll(() => folder.remove());

/** A stream over the socket that can hold back what is written, so that it arrives in one piece. */
function heldBack(wire: Socket) {
  let held: Buffer[] | undefined;
  const through = new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      if (held) held.push(chunk);
      else wire.write(chunk);
      done();
    },
  });
  wire.on("data", (chunk) => through.push(chunk)).on("close", () => through.destroy());
  wire.on("error", () => {});
  return {
    through,
    hold() {
      held = [];
    },
    release() {
      wire.write(Buffer.concat(held ?? []));
      held = undefined;
    },
  };
}

test.each(["cleartext", "TLS"])("a request during a large answer over %s is served", async (kind) => {
  const { cert, settings } = await makeCertificate(folder);
  const key = readFileSync(settings.USERLOCK_TLS_KEY, "utf8");
  const failures: unknown[] = [];
  const onExchange = (exchange: Exchange) => {
    exchange
      .content()
      .on("end", () => {
        const body = exchange.target === "/large" ? ANSWER : Buffer.from("small");
        exchange.answer({ status: 200, headers: { "content-length": String(body.byteLength) }, body });
      })
      .resume();
  };
  const listener = await listen({
    host: "127.0.0.1",
    port: 0,
    tls: kind === "TLS" ? { cert: cert.toString(), key } : undefined,
    limits: LIMITS,
    connections: createShares(LIMITS).connections,
    onExchange,
    onFull() {},
    onFailure: (error) => failures.push(error),
  });
  const port = Number(new URL(listener.url).port);
  const wire = connectTcp({ port, host: "127.0.0.1" });
  const { through, hold, release } = heldBack(wire);
  const socket = kind === "TLS" ? connectTls({ socket: through, host: "127.0.0.1", ca: cert }) : through;
  try {
    if (kind === "TLS") await once(socket, "secureConnect");
    wire.pause();
    socket.write("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    await sleep(300);
    // The head and the body arrive in one piece, in two records of TLS.
    hold();
    socket.write("POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n");
    await sleep(50);
    socket.write("b");
    await sleep(50);
    release();
    await sleep(300);
    let [bytes, last] = [0, ""];
    socket.on("data", (chunk: Buffer) => {
      bytes += chunk.byteLength;
      last = (last + chunk.toString("latin1")).slice(-5);
    });
    wire.resume();
    for (const end = performance.now() + 10_000; last !== "small" && !socket.destroyed && performance.now() < end; )
      await sleep(10);
    expect({ last, isAll: bytes > ANSWER.byteLength, failures }).toEqual({ last: "small", isAll: true, failures: [] });
  } finally {
    wire.destroy();
    await listener.close(0);
  }
});

// Proves that streams are written no faster than their clients read.
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { jest } from "@jest/globals";
import { createOutflow } from "../../../src/transport/streams/backpressure.ts";

const KIB = 1024;
const STALL_MS = 100;

/** A response whose client reads as many bytes as the test allows. It joins waiting writes into one, as Node does. */
function slowResponse() {
  let [written, allowance] = [0, 0];
  let pending: { bytes: number; done: () => void } | undefined;
  const step = () => {
    if (!pending || allowance < pending.bytes) return;
    allowance -= pending.bytes;
    const { done } = pending;
    pending = undefined;
    done();
  };
  const receive = (chunks: Buffer[], done: () => void) => {
    const bytes = chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
    written += bytes;
    pending = { bytes, done };
    step();
  };
  const out = new Writable({
    write: (chunk, _encoding, done) => receive([chunk], done),
    writev: (chunks, done) =>
      receive(
        chunks.map(({ chunk }) => chunk),
        done,
      ),
  });
  return {
    out,
    written: () => written,
    take(bytes: number) {
      allowance += bytes;
      step();
    },
  };
}

test("a client that reads slowly counts as reading, however much is unread", async () => {
  // Fake timers keep a busy machine from slowing the client.
  jest.useFakeTimers({ doNotFake: ["nextTick", "queueMicrotask", "setImmediate"] });
  try {
    const { out, take } = slowResponse();
    const outflow = createOutflow(out);
    expect(outflow.write(Buffer.alloc(256 * KIB))).toBe(false);
    const drained = outflow.drained(STALL_MS);
    for (let taken = 0; taken < 256 * KIB; taken += 16 * KIB) {
      await jest.advanceTimersByTimeAsync(STALL_MS / 2);
      take(16 * KIB);
    }
    expect(await drained).toBe(true);
    expect(outflow.unread).toBe(0);
  } finally {
    jest.useRealTimers();
  }
});

test("a client that stops reading is detected, and a closed one is not waited for", async () => {
  const { out, take } = slowResponse();
  const outflow = createOutflow(out);
  outflow.write(Buffer.alloc(KIB * KIB));
  take(64 * KIB);
  expect(await outflow.drained(STALL_MS)).toBe(false);
  const drained = outflow.drained(STALL_MS);
  out.destroy();
  expect(await drained).toBe(true);
  expect(await outflow.drained(STALL_MS)).toBe(true);
});

test("all unread bytes are counted, and few of them are passed to the response", async () => {
  const { out, take, written } = slowResponse();
  const outflow = createOutflow(out);
  expect(outflow.write(Buffer.alloc(10 * KIB))).toBe(true);
  for (let each = 1; each < 100; each++) outflow.write(Buffer.alloc(10 * KIB));
  expect(outflow.unread).toBe(1_000 * KIB);
  await sleep(0);
  const given = written();
  expect(given).toBeLessThan(64 * KIB);
  take(given);
  await sleep(0);
  expect(outflow.unread).toBe(1_000 * KIB - given);
});

test("everything written before the end of an HTTP/1.1 response is sent before it", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const response = fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const [, out] = (await once(server, "request")) as [unknown, ServerResponse];
  const outflow = createOutflow(out);
  outflow.write(Buffer.from("first,"));
  await outflow.drained(STALL_MS);
  outflow.write(Buffer.from("last"));
  outflow.write(Buffer.alloc(200 * KIB, "x"));
  outflow.flush();
  out.end();
  expect(await (await response).text()).toBe(`first,last${"x".repeat(200 * KIB)}`);
  server.close();
});

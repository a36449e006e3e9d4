// Proves that request bodies are read within their limits.
import { PassThrough } from "node:stream";
import { DomainError } from "../../../src/domain/errors.ts";
import { createShares } from "../../../src/rpc/shares.ts";
import { inTurn, readWhole } from "../../../src/transport/http/body.ts";
import { LIMITS } from "../../../src/transport/limits.ts";

const exchangeOf = (source: PassThrough) => ({ content: () => source });

test("a body that exceeds the shared memory is refused, read no further, and releases its memory", async () => {
  const source = new PassThrough();
  let held = 0;
  const room = (bytes: number) => {
    if (bytes === 5) throw new DomainError("TOO_MANY_REQUESTS", "full");
    held++;
    return () => held--;
  };
  const reading = readWhole(exchangeOf(source), { limit: 10, timeoutMs: 1_000, room });
  source.write(Buffer.alloc(5));
  await expect(reading).rejects.toMatchObject({ reason: "TOO_MANY_REQUESTS" });
  source.write("more");
  await new Promise(setImmediate);
  expect([source.listenerCount("data"), held]).toEqual([0, 0]);
});

test("a body that is too large is refused with the allowed message size", async () => {
  const source = new PassThrough();
  const reading = readWhole(exchangeOf(source), { limit: 10, maxBytes: 5, timeoutMs: 1_000, room: () => () => {} });
  source.write(Buffer.alloc(11));
  await expect(reading).rejects.toMatchObject({ reason: "TOO_LARGE", message: expect.stringContaining("5 bytes") });
});

describe("a large body that waits to be decoded", () => {
  const LARGE = 100_000;
  const held = createShares(LIMITS);
  const room = (bytes: number) => held.bodies("one", bytes);
  const isHeld = () => {
    try {
      held.bodies("one", LIMITS.bodyBytesPerCaller)();
      return false;
    } catch {
      return true;
    }
  };
  const wait = (signal: AbortSignal, read: () => Promise<string>) =>
    inTurn(held, { holder: "one", room, bytes: LARGE, signal }, LARGE, read);

  test("holds its memory until it is decoded or its caller leaves", async () => {
    const first = Promise.withResolvers<string>();
    const leaving = new AbortController();
    const reading = wait(new AbortController().signal, () => first.promise);
    const waiting = wait(leaving.signal, async () => "never read");
    expect(isHeld()).toBe(true);
    leaving.abort();
    await expect(waiting).rejects.toMatchObject({ reason: "CANCELLED" });
    expect(isHeld()).toBe(true);
    first.resolve("read");
    expect(await reading).toBe("read");
    expect(isHeld()).toBe(false);
  });
});

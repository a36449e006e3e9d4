import { gzipSync } from "node:zlib";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { createShares } from "../../../src/rpc/shares.ts";
import { envelope } from "../../../src/transport/frames.ts";
import { bodyFor, type Form } from "../../../src/transport/grpc/connect-body.ts";
import { inTurn } from "../../../src/transport/http/body.ts";
import { LIMITS } from "../../../src/transport/limits.ts";

const FRAMED: Form = { isText: false, isJson: false, isFramed: true, isCompressed: false };
const GZIPPED: Form = { ...FRAMED, isCompressed: true };
const TEXT: Form = { ...FRAMED, isText: true };
const METHODS = [UserService.method.batchLockUsers, EventService.method.watchEvents, Health.method.check];

const nothing = envelope(Buffer.alloc(0));
const inBase64 = (...bytes: Buffer[]) => Buffer.from(Buffer.concat(bytes).toString("base64"));

/** What Connect's router is given of a body. */
async function handedOn(body: Buffer, form: Form, method = METHODS[0]!): Promise<Buffer> {
  const arriving = { method, holder: "one", room: () => () => {}, bodyMs: 1_000, signal: new AbortController().signal };
  const shared = { shares: createShares(LIMITS), idleMs: 1_000 };
  const pieces: Uint8Array[] = [];
  for await (const piece of bodyFor({ begun: body, rest: undefined }, form, arriving, shared)) pieces.push(piece);
  return Buffer.concat(pieces);
}

describe.each(METHODS)("a body of $name", (method) => {
  test.each<[string, Buffer, Form]>([
    ["an empty message", nothing, FRAMED],
    ["a message of 1,000 bytes", envelope(Buffer.alloc(1_000)), FRAMED],
    ["a compressed message", envelope(gzipSync(""), 1), GZIPPED],
    ["a message and half of another, which is an error of its own", Buffer.concat([nothing, Buffer.alloc(4)]), FRAMED],
  ])("is handed on as it is with %s", async (_what, body, form) => {
    expect((await handedOn(body, form, method)).equals(body)).toBe(true);
  });

  test.each<[string, Buffer, Form]>([
    ["empty", Buffer.concat([nothing, nothing]), FRAMED],
    ["compressed", Buffer.concat([nothing, envelope(gzipSync(Buffer.alloc(100_000)), 1)]), GZIPPED],
    ["in base64", inBase64(nothing, envelope(Buffer.from("more"))), TEXT],
    ["followed by thousands more", Buffer.alloc(60_000), FRAMED],
  ])("is refused with NOT_SERVED before a second message is read that is %s", async (_what, body, form) => {
    await expect(handedOn(body, form, method)).rejects.toMatchObject({
      details: [{ value: { reason: "NOT_SERVED" } }],
    });
  });
});

describe("a body in base64", () => {
  const pieces = (count: number) => Buffer.from(`${Buffer.alloc(1).toString("base64")}`.repeat(count));

  test("is taken in 1,000 pieces with a padding of their own", async () => {
    expect((await handedOn(pieces(1_000), { ...TEXT, isFramed: false })).equals(Buffer.alloc(1_000))).toBe(true);
  });

  test("is refused with INVALID_REQUEST in more, which would take long to decode", async () => {
    const refused = { details: [{ value: { reason: "INVALID_REQUEST" } }] };
    await expect(handedOn(pieces(1_001), { ...TEXT, isFramed: false })).rejects.toMatchObject(refused);
  });
});

describe("a large body that waits for its turn", () => {
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

  test("holds its room until it is read, or its caller leaves", async () => {
    const first = Promise.withResolvers<string>();
    const leaving = new AbortController();
    const reading = wait(new AbortController().signal, () => first.promise);
    const waiting = wait(leaving.signal, async () => "never read");
    expect(isHeld()).toBe(true);
    leaving.abort();
    await expect(waiting).rejects.toMatchObject({ details: [{ value: { reason: "CANCELLED" } }] });
    expect(isHeld()).toBe(true);
    first.resolve("read");
    expect(await reading).toBe("read");
    expect(isHeld()).toBe(false);
  });
});

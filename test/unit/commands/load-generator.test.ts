// Proves that the load generator reads answers correctly.
import fc from "fast-check";
import { checkGrpcWeb, http1Reader } from "../../../bench/load/http1-wire.ts";
import { frame, frameReader } from "../../../bench/load/http2-frames.ts";

/** Lengths of the pieces in which bytes arrive. */
const pieces = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 });
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));

/** Passes the bytes to `read` in pieces of these lengths, repeatedly. */
function arrive(all: Buffer, lengths: readonly number[], read: (chunk: Buffer) => void): void {
  for (let at = 0, turn = 0; at < all.length; turn++) {
    const end = at + lengths[turn % lengths.length]!;
    read(Buffer.from(all.subarray(at, end)));
    at = end;
  }
}

describe("HTTP/2 frames are read correctly", () => {
  const frames = fc.array(
    fc.record({
      type: fc.integer({ min: 0, max: 9 }),
      flags: fc.integer({ min: 0, max: 255 }),
      stream: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
      payload: bytes(40),
    }),
    { maxLength: 10 },
  );

  test.each([
    ["if they arrive whole", fc.constant([1_000_000])],
    ["if they arrive byte by byte", fc.constant([1])],
    ["if they arrive in random pieces", pieces],
  ])("%s", (_how, lengths) => {
    fc.assert(
      fc.property(frames, lengths, (sent, lengths) => {
        const got: { type: number; flags: number; stream: number; payload: Buffer }[] = [];
        const all = Buffer.concat(sent.map(({ type, flags, stream, payload }) => frame(type, flags, stream, payload)));
        const read = frameReader((type, flags, stream, payload) => got.push({ type, flags, stream, payload }));
        arrive(all, lengths, read);
        expect(got).toEqual(sent);
      }),
    );
  });
});

describe("HTTP/1.1 answers are read correctly", () => {
  const answer = fc.record({
    status: fc.constantFrom(200, 400, 503),
    /** The body, sent in these chunks or at once with its length. */
    chunks: fc.array(
      bytes(40).filter(({ length }) => length > 0),
      { maxLength: 4 },
    ),
    isChunked: fc.boolean(),
  });

  function written({ status, chunks, isChunked }: { status: number; chunks: Buffer[]; isChunked: boolean }): Buffer {
    const body = Buffer.concat(chunks);
    const length = isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${body.length}`;
    const head = Buffer.from(`HTTP/1.1 ${status} Whatever\r\nX-Other: 1\r\n${length}\r\n\r\n`);
    if (!isChunked) return Buffer.concat([head, body]);
    const parts = [...chunks, Buffer.alloc(0)].flatMap((chunk) => [
      Buffer.from(`${chunk.length.toString(16)}\r\n`),
      chunk,
      Buffer.from("\r\n"),
    ]);
    return Buffer.concat([head, ...parts]);
  }

  test.each([
    ["if they arrive whole", fc.constant([1_000_000])],
    ["if they arrive byte by byte", fc.constant([1])],
    ["if they arrive in random pieces", pieces],
  ])("%s", (_how, lengths) => {
    fc.assert(
      fc.property(fc.array(answer, { maxLength: 4 }), lengths, (sent, lengths) => {
        const got: [number, Uint8Array][] = [];
        const read = http1Reader((status, body) => got.push([status, Buffer.from(body)]));
        arrive(Buffer.concat(sent.map(written)), lengths, read);
        expect(got).toEqual(sent.map(({ status, chunks }) => [status, Buffer.concat(chunks)]));
      }),
    );
  });

  test.each([
    ["if another protocol answers", "SSH-2.0-OpenSSH\r\n\r\n"],
    ["if an answer has no length", "HTTP/1.1 200 OK\r\n\r\n\r\n"],
  ])("and an error is thrown %s", (_what, text) => {
    expect(() => http1Reader(() => {})(Buffer.from(text))).toThrow();
  });
});

describe("a unary gRPC-Web answer", () => {
  const part = (flag: number, text: string) => {
    const bytes = Buffer.from(`01234${text}`);
    bytes[0] = flag;
    bytes.writeUInt32BE(text.length, 1);
    return bytes;
  };
  const message = part(0, "message");

  test.each<[what: string, isGood: boolean, body: Buffer]>([
    ["with status 0", true, Buffer.concat([message, part(0x80, "grpc-status: 0\r\n")])],
    ["with status 0 among others", true, Buffer.concat([message, part(0x80, "grpc-message: \r\ngrpc-status:0\r\n")])],
    ["with status 9", false, Buffer.concat([message, part(0x80, "grpc-status: 9\r\n")])],
    ["with a status that begins with 0", false, Buffer.concat([message, part(0x80, "grpc-status: 05\r\n")])],
    ["without a message and with status 5", false, part(0x80, "grpc-status: 5\r\n")],
    ["without trailers", false, message],
    ["that is empty", false, Buffer.alloc(0)],
  ])("%s counts as good: %s", (_what, isGood, body) => {
    expect(checkGrpcWeb(body) === undefined).toBe(isGood);
  });
});

// Proves that framed messages are read correctly.
import { PassThrough } from "node:stream";
import { gzipSync } from "node:zlib";
import { fromText } from "../../../src/transport/grpc/grpc-web-text.ts";
import { envelope, onlyMessage, wholeFrames } from "../../../src/transport/streams/frames.ts";

const MAX_BYTES = 1_000;
const nothing = envelope(Buffer.alloc(0));
const full = envelope(Buffer.alloc(MAX_BYTES));
const gzipped = envelope(gzipSync("text"), 1);
const lengthOf = (length: number) =>
  Buffer.from([0, ...new Uint8Array(new BigUint64Array([BigInt(length)]).buffer).slice(0, 4).reverse()]);

describe("the only message of a request", () => {
  test.each<[string, Buffer, boolean, object]>([
    ["an empty message", nothing, false, { message: Buffer.alloc(0), isCompressed: false }],
    ["a message of the maximum size", full, false, { message: Buffer.alloc(MAX_BYTES), isCompressed: false }],
    ["a compressed message", gzipped, true, { message: gzipSync("text"), isCompressed: true }],
    [
      "an uncompressed message although compression is declared",
      nothing,
      true,
      { message: Buffer.alloc(0), isCompressed: false },
    ],
  ])("can be %s", (_what, body, isCoded, expected) => {
    expect(onlyMessage(body, { maxBytes: MAX_BYTES, isCoded })).toEqual(expected);
  });

  test.each<[string, string, Buffer, boolean]>([
    ["NOT_SERVED", "there is no message", Buffer.alloc(0), false],
    ["NOT_SERVED", "another message follows", Buffer.concat([nothing, full]), false],
    ["NOT_SERVED", "a compressed message follows", Buffer.concat([nothing, gzipped]), true],
    ["NOT_SERVED", "thousands of messages follow", Buffer.alloc(60_000), false],
    ["INVALID_REQUEST", "half of another message follows", Buffer.concat([nothing, Buffer.alloc(4)]), false],
    ["INVALID_REQUEST", "its frame is truncated", full.subarray(0, 100), false],
    ["INVALID_REQUEST", "its length is truncated", full.subarray(0, 4), false],
    ["INVALID_REQUEST", "its flag is unknown", envelope(Buffer.alloc(1), 2), true],
    ["ENCODING_MISSING", "it is compressed and no header names the encoding", gzipped, false],
    ["TOO_LARGE", "its length exceeds the limit", lengthOf(MAX_BYTES + 1), false],
    ["TOO_LARGE", "its length is the greatest possible", lengthOf(2 ** 32 - 1), false],
  ])("is refused with %s if %s", (reason, _what, body, isCoded) => {
    expect(() => onlyMessage(body, { maxBytes: MAX_BYTES, isCoded })).toThrow(expect.objectContaining({ reason }));
  });
});

describe("the messages of a request stream", () => {
  const room = () => () => {};
  const reading = (source: PassThrough) =>
    wholeFrames({ content: () => source }, { limit: MAX_BYTES, timeoutMs: 1_000, room }, true);

  test("arrive whole, even if the bytes arrive one by one", async () => {
    const source = new PassThrough();
    const frames = [nothing, full, gzipped];
    for (const byte of Buffer.concat(frames)) source.write(Buffer.of(byte));
    source.end();
    const read: Uint8Array[] = [];
    for await (const frame of reading(source)) read.push(frame);
    expect(read.map((frame) => Buffer.from(frame))).toEqual(frames);
  });

  test.each<[string, string, Buffer]>([
    ["INVALID_REQUEST", "a truncated frame", full.subarray(0, 100)],
    ["INVALID_REQUEST", "an unknown flag", envelope(Buffer.alloc(1), 2)],
    ["TOO_LARGE", "a length that exceeds the limit", lengthOf(MAX_BYTES + 1)],
  ])("fail with %s at %s, after the messages before it are served", async (reason, _what, last) => {
    const source = new PassThrough();
    source.end(Buffer.concat([nothing, last]));
    const frames = reading(source);
    expect(await frames.next()).toEqual({ done: false, value: nothing });
    await expect(frames.next()).rejects.toMatchObject({ reason });
  });
});

describe("a body in base64", () => {
  const pieces = (count: number) => Buffer.from(`${Buffer.alloc(1).toString("base64")}`.repeat(count));

  test("is accepted in 1,000 separately padded pieces", () => {
    expect(fromText(pieces(1_000))).toEqual(Buffer.alloc(1_000));
  });

  test.each([
    ["in more pieces, which would be slow to decode", pieces(1_001)],
    ["with other characters", Buffer.from("AAAA!AAA")],
    ["with a truncated piece", Buffer.from("AAAAAA")],
  ])("is refused with INVALID_REQUEST %s", (_what, body) => {
    expect(() => fromText(body)).toThrow(expect.objectContaining({ reason: "INVALID_REQUEST" }));
  });
});

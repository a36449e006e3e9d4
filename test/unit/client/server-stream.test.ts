// Proves that a guard's stream is read whole however its bytes are cut, and that each bad end of it is an error.
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { EventService, WatchLocksResponseSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { openServerStream } from "../../../packages/client/src/server-stream.ts";

function frame(flags: number, content: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flags;
  prefix.writeUInt32BE(content.length, 1);
  return Buffer.concat([prefix, content]);
}

const message = (cursor: string) =>
  frame(0, toBinary(WatchLocksResponseSchema, create(WatchLocksResponseSchema, { cursor })));
const ending = (end: object) => frame(2, Buffer.from(JSON.stringify(end)));

/** The cursors of a stream of these bytes in pieces of this size, and the code of its error. */
async function read(bytes: Uint8Array, { status = 200, size = bytes.length || 1 } = {}) {
  const cursors: string[] = [];
  async function* body() {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  const stream = openServerStream(
    EventService.method.watchLocks,
    { after: "1" },
    {
      send: async () => ({ status, header: new Headers(), body: body(), trailer: new Headers() }),
      baseUrl: "http://127.0.0.1",
      authorization: async () => "Bearer a",
    },
  );
  try {
    for await (const { cursor } of stream) cursors.push(cursor);
    return { cursors };
  } catch (error) {
    return { cursors, code: ConnectError.from(error).code };
  }
}

test("messages are the same in pieces of any size", async () => {
  const bytes = Buffer.concat([message("1"), message(""), message("x".repeat(300)), ending({})]);
  for (const size of [1, 2, 4, 5, 6, 7, 100, bytes.length]) {
    expect(await read(bytes, { size })).toEqual({ cursors: ["1", "", "x".repeat(300)] });
  }
});

test("a stream that ends with an error, without an end or within a message has an error", async () => {
  const error = { code: "invalid_argument", message: "not a cursor" };
  const failed = await read(Buffer.concat([message("1"), ending({ error })]));
  expect(failed).toEqual({ cursors: ["1"], code: Code.InvalidArgument });
  expect(await read(message("1"))).toEqual({ cursors: ["1"], code: Code.Unavailable });
  expect(await read(message("12").subarray(0, 6))).toEqual({ cursors: [], code: Code.Unavailable });
});

test("a message that is too large is refused before it has come", async () => {
  const prefix = Buffer.from([0, 0xff, 0xff, 0xff, 0xff]);
  expect(await read(prefix)).toEqual({ cursors: [], code: Code.ResourceExhausted });
});

test.each([
  [401, Code.Unauthenticated],
  [404, Code.Unimplemented],
  [503, Code.Unavailable],
  [302, Code.Unknown],
])("the status %s of a proxy is an error", async (status, code) => {
  expect(await read(Buffer.alloc(0), { status })).toEqual({ cursors: [], code });
});

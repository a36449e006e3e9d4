import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalClientFn } from "@connectrpc/connect/protocol";
import { endStreamFlag, endStreamFromJson } from "@connectrpc/connect/protocol-connect";

/** Flags and length, in front of each message. */
const PREFIX_BYTES = 5;
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

const CODES: Record<number, Code> = {
  401: Code.Unauthenticated,
  403: Code.PermissionDenied,
  404: Code.Unimplemented,
  429: Code.Unavailable,
  502: Code.Unavailable,
  503: Code.Unavailable,
  504: Code.Unavailable,
};

/**
 * Opens a stream by the Connect protocol, and yields its messages. Rejects with a ConnectError. Connect's own client
 * takes ten times as long for a message, and a process may have many streams.
 */
export async function* openServerStream<Input extends DescMessage, Output extends DescMessage>(
  method: DescMethodServerStreaming<Input, Output>,
  request: MessageInitShape<Input>,
  options: {
    send: UniversalClientFn;
    baseUrl: string;
    authorization(): Promise<string>;
    signal?: AbortSignal;
    onHeader?: (header: Headers) => void;
  },
): AsyncGenerator<MessageShape<Output>> {
  const { send, baseUrl, authorization, signal, onHeader } = options;
  const response = await send({
    method: "POST",
    url: `${baseUrl}/${method.parent.typeName}/${method.name}`,
    header: new Headers({
      "content-type": "application/connect+proto",
      "connect-protocol-version": "1",
      authorization: await authorization(),
    }),
    body: once(enveloped(toBinary(method.input, create(method.input, request)))),
    ...(signal && { signal }),
  });
  onHeader?.(response.header);
  if (response.status !== 200) {
    throw new ConnectError(
      `the stream is answered with status ${response.status}`,
      CODES[response.status] ?? Code.Unknown,
    );
  }

  let rest: Uint8Array = new Uint8Array();
  for await (const chunk of response.body) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (bytes.length - at >= PREFIX_BYTES) {
      const length = new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(1);
      if (length > MAX_MESSAGE_BYTES) throw new ConnectError("a message is too large", Code.ResourceExhausted);
      const end = at + PREFIX_BYTES + length;
      if (bytes.length < end) break;
      const content = bytes.subarray(at + PREFIX_BYTES, end);
      if (((bytes[at] as number) & endStreamFlag) !== 0) {
        const { error } = endStreamFromJson(content);
        if (error) throw error;
        return;
      }
      at = end;
      yield fromBinary(method.output, content);
    }
    rest = bytes.subarray(at);
  }
  throw new ConnectError("the stream was cut", Code.Unavailable);
}

function enveloped(message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(PREFIX_BYTES + message.length);
  new DataView(bytes.buffer).setUint32(1, message.length);
  bytes.set(message, PREFIX_BYTES);
  return bytes;
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

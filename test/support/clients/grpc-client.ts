import {
  create,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type CallOptions,
  type ChannelCredentials,
  type ChannelOptions,
  type ClientReadableStream,
  credentials,
  Metadata,
  makeGenericClientConstructor,
  type ServiceDefinition,
  type ServiceError,
  type StatusObject,
  status as statusCodes,
} from "@grpc/grpc-js";
import { reasonOfGrpcStatus } from "./error-info.ts";

/** The service definition for @grpc/grpc-js, from a generated descriptor, as protoc plugins make it. */
export function definitionOf(service: DescService): ServiceDefinition {
  const serialize = (method: DescMethod["input"]) => (message: Message) => Buffer.from(toBinary(method, message));
  const deserialize = (method: DescMethod["input"]) => (bytes: Buffer) => fromBinary(method, bytes) as Message;
  return Object.fromEntries(
    service.methods.map(({ name, methodKind, input, output }) => [
      name,
      {
        path: `/${service.typeName}/${name}`,
        requestStream: methodKind === "client_streaming" || methodKind === "bidi_streaming",
        responseStream: methodKind === "server_streaming" || methodKind === "bidi_streaming",
        requestSerialize: serialize(input),
        requestDeserialize: deserialize(input),
        responseSerialize: serialize(output),
        responseDeserialize: deserialize(output),
      },
    ]),
  );
}

/** How a call ended, in the terms of gRPC. */
export interface Ending<Output = Message> {
  /** Name of the code, such as `FAILED_PRECONDITION`. */
  code: string;
  /** Reason of the ErrorInfo in the details. */
  reason: string | undefined;
  response: Output | undefined;
  /** The initial metadata, if any came. */
  header: Metadata | undefined;
}

export interface Options extends CallOptions {
  metadata?: Record<string, string>;
}

type Unary = (
  request: Message,
  metadata: Metadata,
  options: CallOptions,
  callback: (error: ServiceError | null, response?: Message) => void,
) => { on(event: "metadata", listener: (header: Metadata) => void): void };
type ServerStream = (request: Message, metadata: Metadata, options: CallOptions) => ClientReadableStream<Message>;

/** A client of @grpc/grpc-js with one channel. `address` is host:port. */
export function openGrpcClient(
  address: string,
  settings: { token?: string; credentials?: ChannelCredentials; channel?: ChannelOptions } = {},
) {
  const opened = new Map<DescService, InstanceType<ReturnType<typeof makeGenericClientConstructor>>>();
  const channelCredentials = settings.credentials ?? credentials.createInsecure();
  const clientOf = (service: DescService) => {
    const known = opened.get(service);
    if (known) return known;
    const Client = makeGenericClientConstructor(definitionOf(service), service.name);
    const [first] = opened.values();
    const options = { ...settings.channel, ...(first && { channelOverride: first.getChannel() }) };
    const client = new Client(address, channelCredentials, options);
    opened.set(service, client);
    return client;
  };
  const metadataOf = (more: Record<string, string> = {}) => {
    const metadata = new Metadata();
    if (settings.token !== undefined) metadata.set("authorization", `Bearer ${settings.token}`);
    for (const [name, value] of Object.entries(more)) metadata.set(name, value);
    return metadata;
  };

  return {
    call<Method extends DescMethod>(
      method: Method,
      request: MessageInitShape<Method["input"]>,
      { metadata, ...options }: Options = {},
    ): Promise<Ending<MessageShape<Method["output"]>>> {
      return new Promise((resolve) => {
        let header: Metadata | undefined;
        const client = clientOf(method.parent);
        const unary = (client[method.name] as unknown as Unary).bind(client);
        const message = create(method.input, request as never) as Message;
        const call = unary(message, metadataOf(metadata), options, (error, response) => {
          const { code, reason } = error ? endingOf(error) : { code: "OK", reason: undefined };
          resolve({ code, reason, response: response as MessageShape<Method["output"]> | undefined, header });
        });
        call.on("metadata", (received) => {
          header = received;
        });
      });
    },
    /** Opens a stream from the server; `ended` resolves when it ends, and does not reject. */
    stream<Method extends DescMethod>(
      method: Method,
      request: MessageInitShape<Method["input"]>,
      { metadata, onMessage, ...options }: Options & { onMessage?(message: MessageShape<Method["output"]>): void } = {},
    ) {
      const client = clientOf(method.parent);
      const open = (client[method.name] as unknown as ServerStream).bind(client);
      const stream = open(create(method.input, request as never) as Message, metadataOf(metadata), options);
      const messages: MessageShape<Method["output"]>[] = [];
      const waiting: (() => void)[] = [];
      stream.on("data", (message) => {
        messages.push(message);
        onMessage?.(message);
        for (const wake of waiting.splice(0)) wake();
      });
      stream.on("error", () => {});
      const ended = new Promise<Pick<Ending, "code" | "reason">>((resolve) => {
        stream.on("status", (status: StatusObject) => resolve(endingOf(status)));
      });
      return {
        messages,
        ended,
        cancel: () => stream.cancel(),
        /** Resolves when `count` messages have arrived. */
        async received(count: number) {
          while (messages.length < count) await new Promise<void>((resolve) => waiting.push(resolve));
        },
      };
    },
    close() {
      for (const client of opened.values()) client.close();
    },
  };
}

function endingOf({ code, metadata }: Pick<StatusObject, "code" | "metadata">): Pick<Ending, "code" | "reason"> {
  const [details] = metadata.get("grpc-status-details-bin");
  return { code: statusCodes[code] as string, reason: reasonOfGrpcStatus(details as Buffer | undefined) };
}

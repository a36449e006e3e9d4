import {
  type CallOptions,
  type Client,
  Code,
  ConnectError,
  type Interceptor,
  type Transport,
} from "@connectrpc/connect";
import { createTransport } from "@connectrpc/connect/protocol-connect";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { createHttpClient, type TlsOptions } from "./http.ts";
import { openServerStream } from "./server-stream.ts";

/** Where the server is, and who calls. */
export interface ConnectionOptions {
  /** The server's address, such as "https://userlock.example.com". */
  url: string;
  /** The caller's token, or a function that returns it for each call, such as one that reads a rotated file. */
  token: string | (() => string | Promise<string>);
  /** Options of TLS, such as `ca`. */
  tls?: TlsOptions;
}

/** The streams that a guard follows. */
export type EventStreams = Pick<Client<typeof EventService>, "watchEvents" | "watchLocks">;

/** A connection that calls can go through. */
export interface Connection {
  transport: Transport;
  /** The streams of EventService. They cost less than those of a client of Connect. */
  streams: EventStreams;
  /** Ends all calls and closes the sockets. */
  close(): void;
}

/** The maximum size of a message. A page of a search has at most 1,000 users. */
const MAX_READ_BYTES = 64 * 1024 * 1024;
const MAX_WRITE_BYTES = 16 * 1024 * 1024;

/** Opens no socket until the first call. Throws TypeError for an invalid address or token. */
export function connect({ url, token, tls }: ConnectionOptions): Connection {
  if (!URL.canParse(url)) throw new TypeError("url: is not an address; write it as https://userlock.example.com");
  const { protocol, origin, pathname, username, password } = new URL(url);
  if (protocol !== "http:" && protocol !== "https:") throw new TypeError("url: must begin with http:// or https://");
  if (username || password) throw new TypeError("url: must not have a user name or a password; use token");
  if (typeof token === "string") authorizationOf(token);
  const authorization = async () => authorizationOf(typeof token === "string" ? token : await token());
  const authorize: Interceptor = (next) => async (request) => {
    if (!request.header.has("authorization")) request.header.set("authorization", await authorization());
    return next(request);
  };
  const { send, close } = createHttpClient(protocol, tls);
  const baseUrl = origin + pathname.replace(/\/+$/, "");
  const streamOptions = ({ signal, onHeader }: CallOptions = {}) => ({
    send,
    baseUrl,
    authorization,
    ...(signal && { signal }),
    ...(onHeader && { onHeader }),
  });
  const transport = createTransport({
    httpClient: send,
    baseUrl,
    useBinaryFormat: true,
    interceptors: [authorize],
    acceptCompression: [],
    sendCompression: null,
    compressMinBytes: 0,
    readMaxBytes: MAX_READ_BYTES,
    writeMaxBytes: MAX_WRITE_BYTES,
  });
  const { watchEvents, watchLocks } = EventService.method;
  const streams: EventStreams = {
    watchEvents: (request, options) => openServerStream(watchEvents, request, streamOptions(options)),
    watchLocks: (request, options) => openServerStream(watchLocks, request, streamOptions(options)),
  };
  return { transport, streams, close };
}

/** The value of the Authorization header. Throws UNAUTHENTICATED for a text that no token can be. */
export function authorizationOf(token: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return `Bearer ${token}`;
  throw new ConnectError("the token is empty, or has a character that no token has", Code.Unauthenticated);
}

import {
  type CallOptions,
  type Client,
  Code,
  ConnectError,
  type Interceptor,
  type Transport,
} from "@connectrpc/connect";
import type { UniversalClientFn } from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-connect";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { checkOption } from "./check-options.ts";
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
  checkOption("url", URL.canParse(url), "an address, such as https://userlock.example.com");
  const { protocol, origin, pathname, username, password } = new URL(url);
  checkOption("url", protocol === "http:" || protocol === "https:", "an address that begins with http:// or https://");
  checkOption("url", !username && !password, "an address without a user name or a password; use token");
  checkOption("token", typeof token === "function" || isToken(token), TOKEN_RULE);
  const authorization = async (signal?: AbortSignal) =>
    authorizationOf(typeof token === "string" ? token : await orAborted(token(), signal));
  const authorize: Interceptor = (next) => async (request) => {
    if (!request.header.has("authorization")) {
      request.header.set("authorization", await authorization(request.signal));
    }
    return next(request);
  };
  // Streams have connections of their own, so that neither they nor many slow calls use up those of the others.
  const calls = createHttpClient(protocol, tls);
  const streaming = createHttpClient(protocol, tls, { maxConnections: Number.POSITIVE_INFINITY });
  const baseUrl = origin + pathname.replace(/\/+$/, "");
  const streamOptions = ({ signal, onHeader }: CallOptions = {}) => ({
    send: streaming.send,
    baseUrl,
    authorization: () => authorization(signal),
    ...(signal && { signal }),
    ...(onHeader && { onHeader }),
  });
  const transportOver = (httpClient: UniversalClientFn) =>
    createTransport({
      httpClient,
      baseUrl,
      useBinaryFormat: true,
      interceptors: [authorize],
      acceptCompression: [],
      sendCompression: null,
      compressMinBytes: 0,
      readMaxBytes: MAX_READ_BYTES,
      writeMaxBytes: MAX_WRITE_BYTES,
    });
  const transport: Transport = { unary: transportOver(calls.send).unary, stream: transportOver(streaming.send).stream };
  const { watchEvents, watchLocks } = EventService.method;
  const streams: EventStreams = {
    watchEvents: (request, options) => openServerStream(watchEvents, request, streamOptions(options)),
    watchLocks: (request, options) => openServerStream(watchLocks, request, streamOptions(options)),
  };
  return {
    transport,
    streams,
    close() {
      calls.close();
      streaming.close();
    },
  };
}

const TOKEN_RULE = "a non-empty string without spaces or line breaks, or a function that returns one";

function isToken(token: unknown): token is string {
  return typeof token === "string" && /^[\x21-\x7e]+$/.test(token);
}

/** The value of the Authorization header. Throws UNAUTHENTICATED for what a function returns that cannot be a token. */
function authorizationOf(token: unknown): string {
  if (isToken(token)) return `Bearer ${token}`;
  throw new ConnectError(`token: must be ${TOKEN_RULE}`, Code.Unauthenticated);
}

/** The value, or a rejection once the signal is aborted: the function of an app may never settle. */
async function orAborted<Value>(value: Promise<Value> | Value, signal: AbortSignal | undefined): Promise<Value> {
  if (!signal) return value;
  let onAbort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
  });
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([value, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

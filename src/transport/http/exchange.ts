import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { constants, type ServerHttp2Stream } from "node:http2";
import type { Readable, Writable } from "node:stream";
import type { TLSSocket } from "node:tls";

/** How long the rest of an answered request is read and discarded, milliseconds. */
const UNREAD_MS = 1_000;

/** Header fields with names in lower case. */
export type Fields = Record<string, string>;

/** A complete response. */
export interface Answer {
  status: number;
  headers: Fields;
  body?: Uint8Array | string;
  /** Fields that follow the body (RFC 9110, section 6.5). */
  trailers?: Fields;
}

/**
 * A request and its response, alike for HTTP/1.1 and HTTP/2, directly on Node's streams. Write the response either by
 * `answer`, or by `begin`, `out` and `end`.
 */
export interface Exchange {
  readonly httpVersion: "1.1" | "2.0";
  /** GET for HEAD, too: its answer only has no content (RFC 9110, section 9.3.2). */
  readonly verb: string;
  readonly isHead: boolean;
  /** The path and query as received. */
  readonly target: string;
  /** The host and port, if the client sends them. */
  readonly authority: string | undefined;
  readonly scheme: "http" | "https";
  readonly headers: IncomingHttpHeaders;
  /** The network address of the client. */
  readonly address: string | undefined;
  /** Aborts when the connection has reached its age. */
  readonly retirement: AbortSignal | undefined;
  /** Returns the request's content. Sends 100 Continue if the client waits for it (RFC 9110, section 10.1.1). */
  content(): Readable;
  /** The stream of the response's content. */
  readonly out: Writable;
  /** Whether the client is gone, so that no response can be written. */
  readonly isGone: boolean;
  /** Whether the response waits for one to an earlier request on the same connection. */
  readonly isInLine: boolean;
  /** Calls the listener once the response is written or cannot be written any more. */
  onClose(listener: () => void): void;
  answer(answer: Answer): void;
  begin(status: number, headers: Fields, hasTrailers: boolean): void;
  end(trailers: Fields | undefined): void;
  /** Aborts the response: the HTTP/1.1 connection, or the HTTP/2 stream. */
  cut(): void;
}

/** The value of a request header. Repeated values are joined. */
export function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

export class Http1Exchange implements Exchange {
  readonly httpVersion = "1.1";
  readonly isHead: boolean;
  readonly verb: string;
  readonly target: string;
  readonly authority: string;
  readonly scheme: "http" | "https";
  readonly headers: IncomingHttpHeaders;
  readonly address: string | undefined;
  readonly retirement: AbortSignal | undefined;
  readonly out: Writable;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #isLast: () => boolean;
  /** Whether the client waits for 100 Continue before it sends content. */
  #awaitsContinue: boolean;

  /** `isLast` tells, at the start of the answer, whether the connection ends with it. */
  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    {
      expectsContinue,
      isLast,
      retirement,
    }: { expectsContinue: boolean; isLast(): boolean; retirement?: AbortSignal | undefined },
  ) {
    const { socket, method, url, headers } = request;
    this.isHead = method === "HEAD";
    this.verb = this.isHead ? "GET" : (method as string);
    this.target = url as string;
    // Node rejects HTTP/1.1 without a Host. HTTP/1.0 needs none, and it may be empty: RFC 9112, sections 3.2, 3.3.
    this.authority = headers.host || "localhost";
    this.scheme = (socket as TLSSocket).encrypted ? "https" : "http";
    this.headers = headers;
    this.address = socket.remoteAddress;
    this.retirement = retirement;
    this.out = response;
    this.#request = request;
    this.#response = response;
    this.#awaitsContinue = expectsContinue;
    this.#isLast = isLast;
    // Errors are handled where bytes are read or written.
    request.on("error", ignore);
    response.on("error", ignore);
  }

  content(): Readable {
    if (this.#awaitsContinue && !this.#response.headersSent) this.#response.writeContinue();
    this.#awaitsContinue = false;
    return this.#request;
  }

  get isGone(): boolean {
    return this.#response.destroyed;
  }

  get isInLine(): boolean {
    return this.#response.socket === null;
  }

  onClose(listener: () => void): void {
    this.#response.once("close", listener);
  }

  answer({ status, headers, body, trailers }: Answer): void {
    this.begin(status, headers);
    this.end(trailers, body);
  }

  begin(status: number, headers: Fields): void {
    this.#cutUnread();
    if (this.#isLast()) this.#response.setHeader("Connection", "close");
    this.#response.writeHead(status, headers);
  }

  end(trailers: Fields | undefined, body?: Answer["body"]): void {
    if (trailers) this.#response.addTrailers(trailers);
    this.#response.end(body);
  }

  cut(): void {
    this.#response.destroy();
  }

  /** Stops reading a request that was answered early. */
  #cutUnread(): void {
    const request = this.#request;
    if (request.complete) return;
    const { socket } = request;
    // After the last answer of a connection Node would close it for reading, too.
    socket.destroySoon = () => socket.end();
    this.#response.once("finish", () => {
      if (request.complete) return;
      // Read a little longer: a client that is cut while it sends may never see the answer. A remaining "readable"
      // listener would stop the flow, and so would its removal from a request that flows without a "data" listener.
      request.removeAllListeners("readable");
      request.on("data", ignore).resume();
      setTimeout(() => {
        // If the request is complete, the connection may have the next request.
        if (!request.complete) socket.destroy();
      }, UNREAD_MS).unref();
    });
  }
}

export class Http2Exchange implements Exchange {
  readonly httpVersion = "2.0";
  readonly isHead: boolean;
  readonly verb: string;
  readonly target: string;
  readonly authority: string | undefined;
  readonly scheme: "http" | "https";
  readonly headers: IncomingHttpHeaders;
  readonly out: Writable;
  readonly isInLine = false;
  readonly retirement: AbortSignal | undefined;
  readonly #stream: ServerHttp2Stream;
  #awaitsContinue: boolean;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, retirement: AbortSignal | undefined) {
    const { ":method": method, ":path": path, ":authority": authority, host } = headers;
    this.isHead = method === "HEAD";
    this.verb = this.isHead ? "GET" : (method as string);
    this.target = (path as string | undefined) ?? "";
    // RFC 9113, section 8.3.1: a request that was converted from HTTP/1.1 may have only a Host.
    this.authority = (authority as string | undefined) ?? host;
    this.scheme = stream.session?.encrypted ? "https" : "http";
    this.headers = headers;
    this.out = stream;
    this.#stream = stream;
    this.retirement = retirement;
    this.#awaitsContinue = headers.expect?.toLowerCase() === "100-continue";
    stream.on("error", ignore);
  }

  get address(): string | undefined {
    return this.#stream.session?.socket.remoteAddress;
  }

  content(): Readable {
    if (this.#awaitsContinue && !this.isGone && !this.#stream.headersSent) {
      this.#stream.additionalHeaders({ ":status": constants.HTTP_STATUS_CONTINUE });
    }
    this.#awaitsContinue = false;
    return this.#stream;
  }

  get isGone(): boolean {
    // A stream that the client has reset is closed before it is destroyed.
    return this.#stream.destroyed || this.#stream.closed;
  }

  onClose(listener: () => void): void {
    this.#stream.once("close", listener);
  }

  answer({ status, headers, body, trailers }: Answer): void {
    const isAll = body === undefined && trailers === undefined;
    this.begin(status, headers, trailers !== undefined, isAll);
    if (!isAll) this.end(trailers, body);
  }

  begin(status: number, headers: Fields, hasTrailers: boolean, isAll = false): void {
    if (this.isGone) return;
    this.#resetUnread();
    this.#stream.respond({ ":status": status, ...headers }, { waitForTrailers: hasTrailers, endStream: isAll });
  }

  end(trailers: Fields | undefined, body?: Answer["body"]): void {
    if (this.isGone) return;
    if (trailers) this.#stream.once("wantTrailers", () => this.#stream.sendTrailers(trailers));
    this.#stream.end(body);
  }

  cut(): void {
    this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  /**
   * Resets a stream that was answered early (RFC 9113, section 8.1). Not at once, because a client that is reset while
   * it sends may drop the answer, as curl 7.88 does.
   */
  #resetUnread(): void {
    const stream = this.#stream;
    if (stream.readableEnded) return;
    // "finish" would be too late: by then Node has reset a stream whose content was never read.
    stream.once("prefinish", () => {
      if (stream.readableEnded || stream.destroyed) return;
      stream.resume();
      const timer = setTimeout(() => stream.close(constants.NGHTTP2_NO_ERROR), UNREAD_MS).unref();
      stream.on("close", () => clearTimeout(timer));
    });
  }
}

function ignore(): void {}

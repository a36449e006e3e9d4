/** What is called, over and over: one method, each call with a message of its own. */
export interface Calls {
  /** The server, such as `http://127.0.0.1:8080`. */
  url: string;
  /** The path, or the path of call number `n`. */
  path: string | ((call: number) => string);
  headers: Record<string, string>;
  /** The body of call number `n`. */
  body(call: number): Buffer;
  /** What an answer to call number `n` has in it if it is the right one. */
  expected(call: number): string;
}

/** What a connection tells. */
export interface Listener {
  /** A call was answered, well or with a problem: a few words, to be counted. */
  onAnswer(call: number, problem: string | undefined): void;
  /** The connection is of no use any more. Calls that were not answered never will be. */
  onEnd(error: Error): void;
}

/**
 * A connection that writes bytes which were made beforehand and looks at those that come back, so that a call costs the
 * one who makes it little beside what it costs the server.
 */
export interface Wire {
  /** Whether one more call may be begun now. */
  isFree(): boolean;
  /** Begins a call. It is sent with the next flush; a wire flushes by itself after answers. */
  begin(call: number): void;
  flush(): void;
  /** Lets go of the connection. `onEnd` is not called. */
  close(): void;
}

/** Connects. Rejects if the server cannot be reached or does not speak the protocol. */
export type OpenWire = (listener: Listener) => Promise<Wire>;

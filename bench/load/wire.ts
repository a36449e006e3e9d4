/** The calls of a load: one method, with a message for each call. */
export interface Calls {
  /** The server, such as `http://127.0.0.1:8080`. */
  url: string;
  /** The path, or the path of call number `n`. */
  path: string | ((call: number) => string);
  headers: Record<string, string>;
  /** The body of call number `n`. */
  body(call: number): Buffer;
  /** A text that the right answer to call number `n` contains. */
  expected(call: number): string;
}

/** The events of a connection. */
export interface Listener {
  /** A call was answered. `problem` is a short text if the answer is not OK. */
  onAnswer(call: number, problem: string | undefined): void;
  /** The connection is lost. Its unanswered calls get no answer. */
  onEnd(error: Error): void;
}

/**
 * A connection that writes prepared bytes and checks the received ones. So a call costs the caller little CPU in
 * comparison with the server.
 */
export interface Wire {
  /** Whether another call can start now. */
  isFree(): boolean;
  /** Starts a call. It is sent with the next flush. A wire flushes by itself after answers. */
  begin(call: number): void;
  flush(): void;
  /** Closes the connection without a call of `onEnd`. */
  close(): void;
}

/** Connects. Rejects if the server cannot be reached or does not speak the protocol. */
export type OpenWire = (listener: Listener) => Promise<Wire>;

/** What connections, requests and calls may use. Times are milliseconds. */
export interface Limits {
  connections: number;
  /** Until the first bytes tell HTTP/1.1 from HTTP/2, and until the TLS handshake is done. */
  handshakeMs: number;
  /** Until the headers of an HTTP/1.1 request are there. */
  headersMs: number;
  /** Until an HTTP/1.1 request is there whole. */
  requestMs: number;
  /** How long an HTTP/1.1 connection may be idle. */
  keepAliveMs: number;
  /** How long an HTTP/2 connection may be without an open stream, whatever else it sends. */
  sessionIdleMs: number;
  /** Size of all headers of a request, bytes. */
  headerBytes: number;
  /** Open streams on one HTTP/2 connection. */
  streams: number;
  /** Until the body of a request is there, once its caller has been let in. */
  bodyMs: number;
  /** How long a call may take if its caller sets no deadline, or a later one. */
  callMs: number;
  /** How long calls may go on after the server was told to stop. */
  drainMs: number;
  /** Streams of events that may be open at once. */
  watchers: number;
  /** What one stream may have written that its client has not taken, bytes; and how long he may take nothing of it. */
  watcherBytes: number;
  watcherStallMs: number;
  /** Until a client is sent a sign of life, and until his right to the stream is looked at again. */
  heartbeatMs: number;
  /** How long an answer, or the end of a stream, waits for a client who does not read. */
  streamEndMs: number;
}

export const LIMITS: Limits = {
  connections: 10_000,
  handshakeMs: 10_000,
  headersMs: 10_000,
  requestMs: 30_000,
  keepAliveMs: 75_000,
  sessionIdleMs: 300_000,
  headerBytes: 16 * 1024,
  streams: 256,
  bodyMs: 20_000,
  callMs: 30_000,
  drainMs: 10_000,
  watchers: 2_000,
  watcherBytes: 1024 * 1024,
  watcherStallMs: 5_000,
  heartbeatMs: 15_000,
  streamEndMs: 10_000,
};

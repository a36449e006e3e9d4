/** What connections, requests and calls may use. Times are milliseconds. */
export interface Limits {
  connections: number;
  /** Of one address; 0: addresses are not told apart, here and in the limits of callers without a token. */
  connectionsPerAddress: number;
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
  /**
   * Bytes of requests that are not there whole, of all callers with a token and of one; and of all without a token and
   * from one address. Each request counts for some more than it has.
   */
  bodyBytes: number;
  bodyBytesPerCaller: number;
  openBodyBytes: number;
  openBodyBytesPerAddress: number;
  /** How long a call may take if its caller sets no deadline, or a later one. */
  callMs: number;
  /** How long calls may go on after the server was told to stop. */
  drainMs: number;
  /** Streams of events that may be open at once, and of one caller. */
  watchers: number;
  watchersPerCaller: number;
  /** Streams of health and reflection, which need no token, that may be open at once, and from one address. */
  openStreams: number;
  openStreamsPerAddress: number;
  /** How long a stream of reflection stays open while nothing is asked on it. */
  reflectionIdleMs: number;
  /** What all streams together may have written that their clients have not taken, bytes. */
  watchersBytes: number;
  /** What one stream may have written that its client has not taken, bytes; and how long the client may take nothing. */
  watcherBytes: number;
  watcherStallMs: number;
  /** Until a client is sent a sign of life, and until its right to the stream is checked again. */
  heartbeatMs: number;
  /** How long an answer, or the end of a stream, waits for a client who does not read. */
  streamEndMs: number;
}

const MIB = 1024 * 1024;

export const LIMITS: Limits = {
  connections: 10_000,
  connectionsPerAddress: 1_000,
  handshakeMs: 10_000,
  headersMs: 10_000,
  requestMs: 30_000,
  keepAliveMs: 75_000,
  sessionIdleMs: 300_000,
  headerBytes: 16 * 1024,
  streams: 256,
  bodyMs: 20_000,
  bodyBytes: 64 * MIB,
  bodyBytesPerCaller: 32 * MIB,
  openBodyBytes: 16 * MIB,
  openBodyBytesPerAddress: 4 * MIB,
  callMs: 30_000,
  drainMs: 10_000,
  watchers: 4_000,
  watchersPerCaller: 1_000,
  openStreams: 1_000,
  openStreamsPerAddress: 100,
  reflectionIdleMs: 30_000,
  watchersBytes: 64 * MIB,
  watcherBytes: MIB,
  watcherStallMs: 5_000,
  heartbeatMs: 15_000,
  streamEndMs: 10_000,
};

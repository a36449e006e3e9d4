const MIB = 1024 * 1024;

/** What connections, requests and calls may use. Times are milliseconds. */
export const LIMITS = {
  connections: 10_000,
  /** Of one address; 0: addresses are not told apart, here and in the limits of callers without a token. */
  connectionsPerAddress: 1_000,
  /** Until the first bytes tell HTTP/1.1 from HTTP/2, and until the TLS handshake is done. */
  handshakeMs: 10_000,
  /** Until the headers of an HTTP/1.1 request are there. */
  headersMs: 10_000,
  /** Until an HTTP/1.1 request is there whole. */
  requestMs: 30_000,
  /** How long an HTTP/1.1 connection may be idle. */
  keepAliveMs: 75_000,
  /** How long an HTTP/2 connection may be without an open stream, whatever else it sends. */
  sessionIdleMs: 300_000,
  /** Size of all headers of a request, bytes. */
  headerBytes: 16 * 1024,
  /** Open streams on one HTTP/2 connection. */
  streams: 256,
  /** Until the body of a request is there, once its caller has been let in. */
  bodyMs: 20_000,
  /**
   * Bytes of requests that are not there whole, of all callers with a token and of one; and of all without a token and
   * from one address. Each request counts for some more than it has.
   */
  bodyBytes: 64 * MIB,
  bodyBytesPerCaller: 32 * MIB,
  openBodyBytes: 16 * MIB,
  openBodyBytesPerAddress: 4 * MIB,
  /** How long a call may take if its caller sets no deadline, or a later one. */
  callMs: 30_000,
  /** How long calls may go on after the server was told to stop. */
  drainMs: 10_000,
  /** Streams of events that may be open at once, and of one caller. */
  watchers: 4_000,
  watchersPerCaller: 1_000,
  /** Streams of health and reflection, which need no token, that may be open at once, and from one address. */
  openStreams: 1_000,
  openStreamsPerAddress: 100,
  /** How long a stream of reflection stays open while nothing is asked on it. */
  reflectionIdleMs: 30_000,
  /** What all streams together may have written that their clients have not taken, bytes. */
  watchersBytes: 64 * MIB,
  /** What one stream may have written that its client has not taken, bytes; and how long the client may take nothing. */
  watcherBytes: MIB,
  watcherStallMs: 5_000,
  /** Until a client is sent a sign of life, and until its right to the stream is checked again. */
  heartbeatMs: 15_000,
  /** How long an answer, or the end of a stream, waits for a client who does not read. */
  streamEndMs: 10_000,
};

export type Limits = typeof LIMITS;

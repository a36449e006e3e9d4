const MIB = 1024 * 1024;

/** Limits of connections, requests and calls. Times are milliseconds. */
export const LIMITS = {
  connections: 10_000,
  /** Per address. 0: all addresses share the limits of callers without a token, and this one does not apply. */
  connectionsPerAddress: 1_000,
  /** The time to the first bytes, which distinguish HTTP/1.1 from HTTP/2, and for the TLS handshake. */
  handshakeMs: 10_000,
  /** The time to receive the headers of an HTTP/1.1 request. */
  headersMs: 10_000,
  /** The time to receive an HTTP/1.1 request. */
  requestMs: 30_000,
  /** The idle time of an HTTP/1.1 connection. */
  keepAliveMs: 75_000,
  /** The time that an HTTP/2 connection may have no open stream, whatever else it sends. */
  sessionIdleMs: 300_000,
  /** The age of a connection: it then ends after its running requests. 0: no limit. */
  connectionAgeMs: 60 * 60_000,
  /** The size of all headers of a request, bytes. */
  headerBytes: 16 * 1024,
  /** The number of open streams per HTTP/2 connection. */
  streams: 256,
  /** The time to receive the body of a request after its caller was admitted. */
  bodyMs: 20_000,
  /**
   * Bytes of incomplete requests: of all callers with a token, of one caller, of all without a token, and of one
   * address. Each request counts for some more than its bytes.
   */
  bodyBytes: 64 * MIB,
  bodyBytesPerCaller: 32 * MIB,
  openBodyBytes: 16 * MIB,
  openBodyBytesPerAddress: 4 * MIB,
  /** The maximum and default duration of a call. */
  callMs: 30_000,
  /** The maximum duration of a check for a gateway, which holds up its request. */
  authzMs: 900,
  /** The time for running calls after a stop began. */
  drainMs: 10_000,
  /** The number of open event streams, in all and per caller. */
  watchers: 4_000,
  watchersPerCaller: 1_000,
  /** The number of open streams of health and reflection, which need no token, in all and per address. */
  openStreams: 1_000,
  openStreamsPerAddress: 100,
  /** The idle time of a stream of reflection. */
  reflectionIdleMs: 30_000,
  /** The unread bytes of all streams. */
  watchersBytes: 64 * MIB,
  /** The unread bytes of one stream, and the time that its client may read nothing. */
  watcherBytes: MIB,
  watcherStallMs: 5_000,
  /** The time between keep-alive messages, and between checks of the watcher's permission. */
  heartbeatMs: 15_000,
  /** How long an answer, or the end of a stream, waits for a client that does not read. */
  streamEndMs: 10_000,
};

export type Limits = typeof LIMITS;

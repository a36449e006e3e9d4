import { createFairQueue, createQuota } from "../app/fairness.ts";

export type { Quota } from "../app/fairness.ts";

/** The resources that callers share. Callers without a token have separate shares. */
export type Shares = ReturnType<typeof createShares>;

export type Backlog = ReturnType<typeof createBacklog>;

/** Counts the unread bytes of all streams. */
export function createBacklog(total: number) {
  const held = new Map<string, number>();
  let all = 0;
  return {
    change(holder: string, bytes: number): void {
      all += bytes;
      const own = (held.get(holder) ?? 0) + bytes;
      if (own === 0) held.delete(holder);
      else held.set(holder, own);
    },
    /**
     * The bytes that one stream of the holder may have unread. The limit shrinks as the unread bytes of all streams and
     * of the holder grow, so the holders with the most unread wait first.
     */
    limit: (holder: string): number => total - all - (held.get(holder) ?? 0),
  };
}

/** Creates the shares. If `connectionsPerAddress` is 0, all addresses share one limit. */
export function createShares(limits: {
  connectionsPerAddress: number;
  bodyBytes: number;
  bodyBytesPerCaller: number;
  openBodyBytes: number;
  openBodyBytesPerAddress: number;
  watchers: number;
  watchersPerCaller: number;
  watchersBytes: number;
  openStreams: number;
  openStreamsPerAddress: number;
}) {
  const tooMany = "Too many requests are being received. Send fewer at once, or try again later.";
  const perAddress = (limit: number) => (limits.connectionsPerAddress === 0 ? Infinity : limit);
  return {
    /** Connections, by address. */
    connections: createQuota({
      total: Infinity,
      each: perAddress(limits.connectionsPerAddress),
      full: "Too many connections are open from this address.",
    }),
    /** Bytes of incomplete requests of callers with a token. */
    bodies: createQuota({ total: limits.bodyBytes, each: limits.bodyBytesPerCaller, full: tooMany }),
    /** Bytes of incomplete requests to services that need no token. */
    openBodies: createQuota({
      total: limits.openBodyBytes,
      each: perAddress(limits.openBodyBytesPerAddress),
      full: tooMany,
    }),
    /** Decoding of large messages. */
    decoding: createFairQueue({ atOnce: 1, waiting: 64, waitingEach: 16, full: tooMany }),
    /** Streams of events, and their unread bytes. */
    watchers: createQuota({
      total: limits.watchers,
      each: limits.watchersPerCaller,
      full: "Too many event streams are open. Close some of your own, or try another server.",
    }),
    backlog: createBacklog(limits.watchersBytes),
    /** Streams of the services that need no token: health and reflection. */
    openStreams: createQuota({
      total: limits.openStreams,
      each: perAddress(limits.openStreamsPerAddress),
      full: "Too many streams of health and reflection are open. Close some, or try again later.",
    }),
  };
}

/**
 * The holder of the share of a caller without a token. An IPv6 host has a whole network, whose addresses have equal
 * first 64 bits (RFC 4291, section 2.5.4).
 */
export function holderOf(address: string | undefined): string {
  if (address === undefined) return "address:";
  const [ip = ""] = address.split("%");
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1];
  if (mapped !== undefined || !ip.includes(":")) return `address:${mapped ?? ip}`;
  const [head = "", tail] = ip.split("::");
  const front = head === "" ? [] : head.split(":");
  const back = tail ? tail.split(":") : [];
  const groups = [...front, ...Array(Math.max(0, 8 - front.length - back.length)).fill("0"), ...back];
  return `address:${groups.slice(0, 4).join(":")}::/64`;
}

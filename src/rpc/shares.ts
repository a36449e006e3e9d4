import { createFairQueue, createQuota } from "../app/fairness.ts";

export type { Quota } from "../app/fairness.ts";

/** What callers share. Callers without a token have shares of their own. */
export type Shares = ReturnType<typeof createShares>;

export type Backlog = ReturnType<typeof createBacklog>;

/** Bytes that were sent and not taken yet, of all streams. */
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
     * Bytes that one stream of the holder may have unread now. The more is unread of all, and of the holder, the fewer:
     * so the streams with most of the holder with most are the first to wait, and those with little are the last.
     */
    limit: (holder: string): number => total - all - (held.get(holder) ?? 0),
  };
}

/** Where `connectionsPerAddress` is 0, addresses are not told apart. */
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
  const onTheirWay = "Too many requests are on their way at once: send fewer at a time, or try again in a moment.";
  const perAddress = (limit: number) => (limits.connectionsPerAddress === 0 ? Infinity : limit);
  return {
    /** Connections, by address. */
    connections: createQuota({
      total: Infinity,
      each: perAddress(limits.connectionsPerAddress),
      full: "Too many connections are open from the address.",
    }),
    /** Bytes of requests of callers with a token that are not there whole yet. */
    bodies: createQuota({ total: limits.bodyBytes, each: limits.bodyBytesPerCaller, full: onTheirWay }),
    /** The same for services that need no token. */
    openBodies: createQuota({
      total: limits.openBodyBytes,
      each: perAddress(limits.openBodyBytesPerAddress),
      full: onTheirWay,
    }),
    /** The reading of large messages. */
    decoding: createFairQueue({ atOnce: 1, waiting: 64, waitingEach: 16, full: onTheirWay }),
    /** Streams of events, and what is unread of them. */
    watchers: createQuota({
      total: limits.watchers,
      each: limits.watchersPerCaller,
      full: "Too many watch already: close some of your own, try another server, or later.",
    }),
    backlog: createBacklog(limits.watchersBytes),
    /** Streams of the services that need no token: health and reflection. */
    openStreams: createQuota({
      total: limits.openStreams,
      each: perAddress(limits.openStreamsPerAddress),
      full: "Too many streams of health and reflection are open: close some, or try again later.",
    }),
  };
}

/**
 * The holder of what a caller without a token takes. One host has a whole network of IPv6 addresses, the first 64 bits
 * of which are the same (RFC 4291, section 2.5.4).
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

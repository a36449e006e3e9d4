import { parseTimeout as parseConnectTimeout } from "@connectrpc/connect/protocol-connect";
import { parseTimeout as parseGrpcTimeout } from "@connectrpc/connect/protocol-grpc";
import { MAX_TIMER_MS } from "../../rpc/deadline.ts";

/** The headers that tell how long a caller waits, and how each is read. REST has Connect's. */
const PARSERS = { "grpc-timeout": parseGrpcTimeout, "connect-timeout-ms": parseConnectTimeout };

export type DeadlineHeader = keyof typeof PARSERS;

/** Milliseconds; NaN if the value is malformed, undefined without a deadline that a timer can wait for. */
export function timeoutOf(header: DeadlineHeader, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const { timeoutMs = Number.NaN } = PARSERS[header](value, Number.POSITIVE_INFINITY);
  return timeoutMs > MAX_TIMER_MS ? undefined : timeoutMs;
}

/** Takes away deadlines that no timer can wait for: Connect would give them to setTimeout, which takes them for 0. */
export function dropFarDeadlines(header: Headers): void {
  for (const name of Object.keys(PARSERS) as DeadlineHeader[]) {
    if (timeoutOf(name, header.get(name) ?? undefined) === undefined) header.delete(name);
  }
}

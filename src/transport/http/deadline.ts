import { parseTimeout as parseConnectTimeout } from "@connectrpc/connect/protocol-connect";
import { parseTimeout as parseGrpcTimeout } from "@connectrpc/connect/protocol-grpc";
import { MAX_TIMER_MS } from "../../rpc/deadline.ts";

/** The headers with a deadline, and their parsers. REST uses Connect's. */
const PARSERS = { "grpc-timeout": parseGrpcTimeout, "connect-timeout-ms": parseConnectTimeout };

export type DeadlineHeader = keyof typeof PARSERS;

/** The timeout in milliseconds: NaN if malformed, undefined if absent or beyond setTimeout's maximum. */
export function timeoutOf(header: DeadlineHeader, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const { timeoutMs = Number.NaN } = PARSERS[header](value, Number.POSITIVE_INFINITY);
  return timeoutMs > MAX_TIMER_MS ? undefined : timeoutMs;
}

/** Removes deadlines beyond setTimeout's maximum, which Connect would pass to it, and which count as 0 there. */
export function dropFarDeadlines(header: Headers): void {
  for (const name of Object.keys(PARSERS) as DeadlineHeader[]) {
    if (timeoutOf(name, header.get(name) ?? undefined) === undefined) header.delete(name);
  }
}

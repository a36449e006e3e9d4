import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Event, ListEventsRequestSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import type { Format } from "./files.ts";

/** The most events of a file. A browser holds all of them in memory. */
export const MOST_EVENTS = 100_000;

/** The largest page of ListEvents. */
const PAGE = 1_000;

type Request = MessageInitShape<typeof ListEventsRequestSchema>;
type ListEvents = (
  request: Request,
  options: { signal: AbortSignal },
) => Promise<{ events: readonly Event[]; nextCursor: string }>;

/** A file while it grows. */
export interface Growing {
  readonly parts: readonly string[];
  /** The number of its events. */
  readonly count: number;
  /** Where the next page begins. */
  readonly next: string;
  /** Whether the log has no more events that match. */
  readonly isComplete: boolean;
}

export const beginFile = (format: Format, next = ""): Growing => ({
  parts: [format.head],
  count: 0,
  next,
  isComplete: false,
});

/**
 * Lets a file grow page by page until it is complete, or has `most` events. Yields it after each page, so that a file
 * that was stopped or that failed can grow on from its last page. Throws what a call throws, also by the signal.
 */
export async function* grow(
  file: Growing,
  options: { format: Format; request: Request; list: ListEvents; signal: AbortSignal; most?: number },
): AsyncGenerator<Growing> {
  const { format, request, list, signal, most = MOST_EVENTS } = options;
  let { parts, count, next, isComplete } = file;
  while (!isComplete && count < most) {
    const limit = Math.min(PAGE, most - count);
    const { events, nextCursor } = await list({ ...request, cursor: next, limit }, { signal });
    parts = [...parts, events.map(format.line).join("")];
    count += events.length;
    next = nextCursor;
    isComplete = nextCursor === "";
    yield { parts, count, next, isComplete };
  }
}

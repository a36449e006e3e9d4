import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import {
  EventSchema,
  type EventService,
  type WatchEventsRequestSchema,
} from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { mayPass } from "../bulk/calls.ts";
import { explain } from "../client.ts";
import type { Surroundings } from "../frame/command.ts";
import { printable } from "../frame/printable.ts";
import { createListing, type Format } from "../output.ts";
import { EVENT_COLUMNS } from "./describe.ts";

/** The server sends a message every 15 seconds. A connection that is silent for longer is dead, milliseconds. */
const SILENCE_MS = 45_000;
const FIRST_WAIT_MS = 250;
const LAST_WAIT_MS = 8_000;
/** How long to retry before the first answer: the address may be wrong, milliseconds. */
const PATIENCE_MS = 5_000;

/**
 * Prints events as they happen until `stop` is aborted. Reconnects at the last cursor, so no event is missed or printed
 * twice. Rejects with permanent errors, such as a revoked token.
 */
export async function followEvents(
  client: Client<typeof EventService>,
  request: MessageInitShape<typeof WatchEventsRequestSchema>,
  format: Format,
  around: Pick<Surroundings, "stdout" | "stderr" | "env">,
  stop: AbortSignal,
  silenceMs = SILENCE_MS,
): Promise<void> {
  const listing = createListing(EventSchema, EVENT_COLUMNS, format, around);
  const started = performance.now();
  let after = request.after;
  let hasAnswered = false;
  for (let waitMs = FIRST_WAIT_MS; !stop.aborted; waitMs = Math.min(2 * waitMs, LAST_WAIT_MS)) {
    const silence = new AbortController();
    const timer = setTimeout(() => silence.abort(), silenceMs);
    let why = "the server ended the stream";
    try {
      const signal = AbortSignal.any([stop, silence.signal]);
      for await (const { cursor, event } of client.watchEvents({ ...request, ...(after && { after }) }, { signal })) {
        timer.refresh();
        if (event) listing.print([event]);
        after = cursor;
        hasAnswered = true;
        waitMs = FIRST_WAIT_MS;
      }
    } catch (error) {
      const isEarly = !hasAnswered && performance.now() - started > PATIENCE_MS;
      const isSilent = silence.signal.aborted;
      if (!stop.aborted && !isSilent && (isEarly || !mayPass(error))) throw error;
      why = isSilent ? "the connection is silent" : explain(error).message;
    } finally {
      clearTimeout(timer);
    }
    if (stop.aborted) break;
    around.stderr.write(`${printable(`${why}; connecting again${after ? ` after ${after}` : ""}`)}\n`);
    await sleep(waitMs * (0.5 + Math.random() / 2), undefined, { signal: stop }).catch(() => {});
  }
  if (after) around.stderr.write(`stopped; --after ${printable(after)} goes on from here\n`);
}

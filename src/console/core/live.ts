import { fromJson, toJson } from "@bufbuild/protobuf";
import { signal } from "@preact/signals";
import { type Event, EventSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { eventStreams, isLoggedOut, reasonOf } from "./api.ts";
import { loadMe } from "./session.ts";

/** Whether events arrive: "off" before the login and without the permission. */
export type LiveState = "off" | "connecting" | "live" | "away";

export const liveState = signal<LiveState>("off");

/** What the tab with the stream tells the others. */
interface Note {
  /** The cursor of the last message. */
  cursor: string;
  state: LiveState;
  /** As JSON, because a channel cannot send messages of protobuf. */
  event?: unknown;
}

type Listener = (event: Event) => void;

const CHANNEL = "userlock-events";
/** What a new tab sends, to learn the state at once. */
const HELLO = "hello";
const LOCK = "userlock-watch";
const SILENCE_MS = 20_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;

const listeners = new Set<Listener>();
const gapListeners = new Set<() => void>();
let cursor = "";
let stop: AbortController | undefined;

/** Calls the listener with each new event. Returns a function that removes it. */
export function onEvent(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Calls the listener when events may be missing, so that a page has to load again. */
export function onGap(listener: () => void): () => void {
  gapListeners.add(listener);
  return () => gapListeners.delete(listener);
}

/**
 * Follows the events until `endLive`. Browsers open only six connections to a server over HTTP/1.1, so one tab has the
 * stream and tells the others. If it is closed, another one resumes after the last cursor.
 */
export function beginLive(): void {
  if (stop) return;
  stop = new AbortController();
  const { signal } = stop;
  const channel = new BroadcastChannel(CHANNEL);
  let hasStream = false;
  channel.onmessage = ({ data }: MessageEvent<Note | typeof HELLO>) => {
    if (data !== HELLO) hear(data);
    else if (hasStream) channel.postMessage({ cursor, state: liveState.value } satisfies Note);
  };
  signal.addEventListener("abort", () => channel.close());
  liveState.value = "connecting";
  channel.postMessage(HELLO);
  const tell = (note: Note) => {
    if (signal.aborted) return;
    hear(note);
    channel.postMessage(note);
  };
  const lead = () => {
    hasStream = true;
    return follow(tell, signal);
  };
  navigator.locks.request(LOCK, { signal }, lead).catch(() => {});
}

export function endLive(): void {
  stop?.abort();
  stop = undefined;
  liveState.value = "off";
}

function hear(note: Note): void {
  const isFirst = liveState.value === "connecting" && note.state === "live";
  cursor = note.cursor;
  liveState.value = note.state;
  // The session has ended, or its permissions are others now.
  if (note.state === "off") void loadMe();
  // What a page loaded before the stream began may be outdated.
  if (isFirst) for (const listener of gapListeners) listener();
  if (note.event === undefined) return;
  const event = fromJson(EventSchema, note.event as Parameters<typeof fromJson>[1]);
  for (const listener of listeners) listener(event);
}

/** Keeps the stream open. Resolves when it is refused for good, or aborted. */
async function follow(tell: (note: Note) => void, signal: AbortSignal): Promise<void> {
  for (let waitMs = FIRST_WAIT_MS; !signal.aborted; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      const ended = AbortSignal.any([signal, silence.signal]);
      for await (const message of eventStreams.watchEvents({ after: cursor }, { signal: ended })) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE_MS);
        waitMs = FIRST_WAIT_MS;
        const event = message.event && { event: toJson(EventSchema, message.event) };
        tell({ cursor: message.cursor, state: "live", ...event });
      }
    } catch (error) {
      if (isLoggedOut(error) || reasonOf(error) === "PERMISSION_MISSING") return tell({ cursor, state: "off" });
      // The log is another one, after a restore.
      if (reasonOf(error) === "INVALID_REQUEST") tell({ cursor: "", state: "connecting" });
    } finally {
      clearTimeout(timer);
    }
    if (signal.aborted) return;
    tell({ cursor, state: "away" });
    await new Promise((resolve) => setTimeout(resolve, waitMs * (0.5 + Math.random() / 2)));
  }
}

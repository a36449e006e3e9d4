import pino, { type DestinationStream, type Logger as Pino } from "pino";
import { Code } from "../gen/google/rpc/code_pb.ts";

export interface Logger extends Pino {
  /**
   * Logs a line at `info`, at a sixth of the cost: the lines of one turn of the event loop are written together, at its
   * end or before any other line. Nothing is redacted.
   */
  line(fields: object, message: string): void;
}

/** Which calls have a line in the log. */
export const ACCESS_LOGS = ["off", "errors", "changes", "all"] as const;
export type AccessLog = (typeof ACCESS_LOGS)[number];

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/** Control characters, and ends of lines in Unicode, that JSON does not escape. */
const CONTROLS = /[\x7f-\x9f\u2028\u2029]/g;
const escapeOf = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** The length of lines that are written together, characters. */
const MAX_TOGETHER = 64 * 1024;

/** Logs one JSON object per line to stderr, because stdout is for people. Secrets are redacted. */
export function createLogger(
  level: (typeof LOG_LEVELS)[number],
  out: Pick<DestinationStream, "write"> = pino.destination({ fd: 2, sync: true }),
): Logger {
  let lines = "";
  const write = (text = "") => {
    const all = lines + text;
    lines = "";
    if (all !== "") out.write(all.replace(CONTROLS, escapeOf));
  };
  // A process that ends within a turn loses no line.
  process.once("exit", () => write());
  const log = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: ["authorization", "token", "secret", "password", "*.authorization", "*.token", "*.secret", "*.password"],
        censor: "[redacted]",
      },
    },
    { write },
  );
  return Object.assign(log, {
    line(fields: object, msg: string) {
      if (!log.isLevelEnabled("info")) return;
      if (lines === "") setImmediate(() => write());
      lines += `${JSON.stringify({ level: "info", time: new Date().toISOString(), ...fields, msg })}\n`;
      if (lines.length > MAX_TOGETHER) write();
    },
  });
}

/** While the store is away each call fails. So many of them a minute have a line of their own. */
const STORE_LINES = 10;
const MINUTE_MS = 60_000;

/** Creates functions that log faults, except those that the stop itself causes. */
export function createFaultLog(log: Logger, stopping: AbortSignal) {
  let began = Number.NEGATIVE_INFINITY;
  let count = 0;
  const isTooMuch = (reason: string | undefined) => {
    if (reason !== "STORE_UNAVAILABLE") return false;
    const now = performance.now();
    if (now - began > MINUTE_MS) [began, count] = [now, 0];
    return ++count > STORE_LINES;
  };
  return {
    /** Logs errors with a message. */
    fault: (message: string) => (error: unknown) => {
      if (!stopping.aborted) log.error({ err: error }, message);
    },
    /** Logs an error that a caller got. */
    callError(
      { code, reason, message, cause }: { code: Code; reason: string | undefined; message: string; cause?: unknown },
      method: string,
      requestId: string,
    ): void {
      // Not logged as faults: KEYS_UNAVAILABLE is logged by the fetch, and ENCODING_MISSING is the caller's mistake,
      // although its code is INTERNAL.
      const isExpected = reason === "KEYS_UNAVAILABLE" || reason === "ENCODING_MISSING";
      const isOurs = (code === Code.INTERNAL || code === Code.UNAVAILABLE) && !isExpected;
      if (isOurs && !stopping.aborted && !isTooMuch(reason))
        log.error({ method, requestId, code, reason, err: cause }, message);
      // Without the message, which quotes the request and may have a secret, even in its path.
      else log.debug({ method, requestId, code, reason }, "a call was refused");
    },
  };
}

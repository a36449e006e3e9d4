import pino, { type Logger } from "pino";
import { Code } from "../gen/google/rpc/code_pb.ts";

export type { Logger };

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/** Logs one JSON object per line to stderr, because stdout is for people. Secrets are redacted. */
export function createLogger(level: (typeof LOG_LEVELS)[number]): Logger {
  return pino(
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
    pino.destination({ fd: 2, sync: true }),
  );
}

/** Creates functions that log faults, except those that the stop itself causes. */
export function createFaultLog(log: Logger, stopping: AbortSignal) {
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
      if (isOurs && !stopping.aborted) log.error({ method, requestId, code, reason, err: cause }, message);
      // Without the message, which quotes the request and may have a secret, even in its path.
      else log.debug({ method, requestId, code, reason }, "a call was refused");
    },
  };
}

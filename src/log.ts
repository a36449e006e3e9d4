import pino, { type Logger } from "pino";
import { Code } from "../gen/google/rpc/code_pb.ts";

export type { Logger };

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/** One JSON object a line, on stderr: stdout is for people. What could be a secret is not written. */
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

/** What is logged of faults. What comes of the stopping itself is not. */
export function createFaultLog(log: Logger, stopping: AbortSignal) {
  return {
    /** Logs errors under a sentence. */
    fault: (message: string) => (error: unknown) => {
      if (!stopping.aborted) log.error({ err: error }, message);
    },
    /** Logs the error that a caller was given. */
    callError(
      { code, reason, message, cause }: { code: Code; reason: string | undefined; message: string; cause?: unknown },
      method: string,
      requestId: string,
    ): void {
      // Anybody can make such calls: keys that cannot be fetched are logged where they are fetched, and the other is the
      // caller's mistake, which the protocols call INTERNAL.
      const isTold = reason === "KEYS_UNAVAILABLE" || reason === "ENCODING_MISSING";
      const isOurs = (code === Code.INTERNAL || code === Code.UNAVAILABLE) && !isTold;
      if (isOurs && !stopping.aborted) log.error({ method, requestId, code, reason, err: cause }, message);
      // The message quotes the request, which may have a secret in it, in its path too.
      else log.debug({ method, requestId, code, reason }, "a call was refused");
    },
  };
}

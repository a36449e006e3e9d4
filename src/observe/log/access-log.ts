import type { Message } from "@bufbuild/protobuf";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import type { AppendListener } from "../../app/execute.ts";
import type { LoginOutcome } from "../../app/login.ts";
import type { Actor } from "../../domain/aggregate.ts";
import type { AccessLog, Logger } from "../../log.ts";
import type { CallObserver, ObservedCall } from "../../rpc/observer.ts";
import { fullNameOf, NAMES } from "../names.ts";
import type { Observers } from "../observers.ts";
import { createBursts } from "./bursts.ts";

/** The messages of the lines. */
export const LINES = {
  call: "call",
  failedCalls: "failed calls of one caller",
  refusedTokens: "calls with a refused token",
  failedLogins: "failed logins",
  autoLock: "a user was locked after wrong passwords",
  autoLocks: "users were locked after wrong passwords",
} as const;

/** How many lines of one kind a window has before the rest are only counted. */
const OWN = 10;
/** The same for automatic locks, and for the failed calls of one caller, who has a good token. */
const OWN_LOCKS = 60;
const OWN_FAILURES = 100;
const WINDOW_MS = 60_000;

const TOKEN_REASONS = ["TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED"];

/**
 * Logs calls, automatic locks, and bursts of failed logins and refused tokens. Strangers cannot fill the log: of what
 * they can cause, a minute has a few lines and one with a count. A line has no text of a request except the id of a
 * user that exists.
 */
export function observeLog(parts: {
  log: Pick<Logger, "warn" | "line">;
  mode: AccessLog;
  windowMs?: number;
}): Pick<Observers, "calls"> & { onAppend: AppendListener; onLogin(outcome: LoginOutcome): void; close(): void } {
  const { log, mode, windowMs = WINDOW_MS } = parts;
  /** The users that a call has changed. */
  const changed = new WeakMap<Actor, { user: string; users: number }>();

  const tokens = createBursts<"reasons" | "addresses">({
    own: OWN,
    windowMs,
    onBurst(_key, { count, tallies: { reasons, addresses } }) {
      const [address] = Object.keys(addresses?.top(1) ?? {});
      const from = { addresses: addresses?.size, address };
      log.warn({ count, reasons: reasons?.top(3), ...from }, LINES.refusedTokens);
    },
  });
  const logins = createBursts<"outcomes">({
    own: OWN,
    windowMs,
    onBurst: (_key, { count, tallies }) =>
      log.warn({ count, outcomes: tallies.outcomes?.top(OWN) }, LINES.failedLogins),
  });
  /** Its bursts are those of `logins`. */
  const loginCalls = createBursts({ own: OWN, windowMs, onBurst() {} });
  const failures = createBursts<"reasons">({
    own: OWN_FAILURES,
    windowMs,
    onBurst: (caller, { count, tallies }) =>
      log.warn({ ...(caller && { caller }), count, reasons: tallies.reasons?.top(OWN) }, LINES.failedCalls),
  });
  const locks = createBursts({
    own: OWN_LOCKS,
    windowMs,
    onBurst: (_key, { count }) => log.warn({ count }, LINES.autoLocks),
  });

  /** Whether the mode has lines for such a call. */
  function isLogged({ error, isChanging = false }: ObservedCall): boolean {
    if (mode === "all") return true;
    return mode === "errors" ? error !== undefined : mode === "changes" && isChanging;
  }

  /** Counts a failed call. Returns whether it may have its own line. */
  function countFailure({ error, principal, address }: ObservedCall, isWanted: boolean): boolean {
    const reason = error?.reason ?? NAMES.get(error?.code ?? Code.UNKNOWN) ?? "";
    if (!principal && TOKEN_REASONS.includes(reason)) {
      return tokens.count("", { reasons: reason, ...(address !== undefined && { addresses: address }) });
    }
    if (!isWanted) return false;
    return reason === "LOGIN_FAILED"
      ? loginCalls.count("")
      : failures.count(principal?.subject ?? "", { reasons: reason });
  }

  const calls: CallObserver = {
    began() {},
    ended(call) {
      const { method, error, principal, system, address, requestId, traceId, started } = call;
      if (!method && !error) return;
      const isWanted = isLogged(call);
      if (error && !countFailure(call, isWanted)) return;
      if (!isWanted) return;
      // JSON leaves out what is undefined.
      log.line(
        {
          method: method && fullNameOf(method),
          system,
          code: NAMES.get(error?.code ?? Code.OK),
          reason: error?.reason,
          caller: principal?.subject,
          ...usersOf(call),
          address,
          durationMs: Math.round((performance.now() - started) * 1_000) / 1_000,
          requestId,
          traceId,
        },
        LINES.call,
      );
    },
  };

  /** The user of a call, or the number of users if they are many. */
  function usersOf({ actor, request, error }: ObservedCall): { user?: string; users?: number } {
    const done = actor && changed.get(actor);
    if (done) return done.users === 1 ? { user: done.user } : { users: done.users };
    // Else it may be any text, even a token, which somebody sent as an id.
    const isThere = error === undefined || error.code === Code.FAILED_PRECONDITION || isTaken(error.reason);
    const user = isThere ? named(request) : undefined;
    return user === undefined ? {} : { user };
  }

  const onAppend: AppendListener = ({ events, id, userId, actor }, outcome) => {
    if (outcome !== "appended") return;
    if (userId !== undefined && mode !== "off" && actor.requestId !== undefined) {
      const before = changed.get(actor);
      // The session of a login belongs to the same user.
      if (before?.user !== userId) changed.set(actor, { user: userId, users: (before?.users ?? 0) + 1 });
    }
    for (const { type, data } of events) {
      if (type !== "user.locked" || (data as { cause?: string }).cause !== "password_failures") continue;
      if (!locks.count("")) continue;
      const { address, requestId } = actor;
      log.warn({ user: id, address, requestId }, LINES.autoLock);
    }
  };

  return {
    calls: [calls],
    onAppend,
    onLogin(outcome) {
      if (outcome !== "ok") logins.count("", { outcomes: outcome });
    },
    close() {
      for (const { close } of [tokens, logins, loginCalls, failures, locks]) close();
    },
  };
}

function isTaken(reason: string | undefined): boolean {
  return reason === "USER_ALREADY_EXISTS";
}

/** The id of the user that a request names. Requests about other things name theirs otherwise. */
function named(request: Message | undefined): string | undefined {
  const { id, user } = (request ?? {}) as {
    id?: unknown;
    user?: { userId?: unknown; case?: unknown; value?: unknown };
  };
  const found = id ?? user?.userId ?? (user?.case === "userId" ? user.value : undefined);
  return typeof found === "string" && found !== "" ? found : undefined;
}

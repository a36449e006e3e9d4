/**
 * The published entry of the guard: it refuses tokens of users who may not act, from memory.
 *
 *     const guard = createGuard({ url, token, jwt: { issuer, audience, jwks } });
 *     await guard.ready;
 *     const verdict = await guard.check(bearerToken);
 */
import { Code, createClient } from "@connectrpc/connect";
import { AuthzService } from "../../../../gen/userlock/v3alpha/authz_service_pb.ts";
import { SessionService } from "../../../../gen/userlock/v3alpha/session_service_pb.ts";
import { connect } from "../connection.ts";
import { UserlockError } from "../errors.ts";
import { callSafely, createEmitter, type On } from "./events.ts";
import { checkGuardOptions, type GuardOptions } from "./guard-options.ts";
import { createJwtVerifier, identityOfJwt, isJwt, type JwtVerifier, type VerifiedJwt } from "./jwt.ts";
import { followLocks } from "./locks.ts";
import { createRecent } from "./recent.ts";
import { createServerClock } from "./server-clock.ts";
import { createSessions, SESSION_PREFIX, type Sessions } from "./sessions.ts";
import { type Refusal, refuse, type Verdict } from "./verdict.ts";

export type { Denial, GuardEvents, On } from "./events.ts";
export type { GuardOptions } from "./guard-options.ts";
export type { JwtOptions } from "./jwt.ts";
export type { Identity, Refusal, RefusalReason, Verdict } from "./verdict.ts";

/** Refuses the tokens of users who may not act. */
export interface Guard {
  /**
   * Resolves with the first whole set of denied users. Rejects if the server refuses to send it, or if the guard is closed
   * before. Until then the program does not end by itself.
   */
  readonly ready: Promise<void>;
  /** Whether the set of denied users is whole and current. */
  readonly isFresh: boolean;
  /** The number of denied users. */
  readonly size: number;
  /** Checks the token of a call. It never rejects. */
  check(token: string | undefined): Promise<Verdict>;
  /** Checks the user of a call whose token the app has verified. While the set is stale, only "allow" lets them in. */
  checkSubject(userId: string): Verdict;
  /** Whether the user is in the set of denied users, current or not. */
  isDenied(userId: string): boolean;
  on: On;
  /** Closes the streams. From then on all calls are refused. */
  close(): void;
}

/** Limits that tests change. */
interface Internals {
  silenceMs?: number;
}

interface Known extends VerifiedJwt {
  high: number;
  low: number;
  verdict: Verdict;
}

const MAX_TOKEN_LENGTH = 16 * 1024;
/** Questions about tokens that wait for the server at once. */
const MAX_ASKING = 1_000;
/** Errors that waiting does not mend. */
const LASTING = [Code.Unauthenticated, Code.PermissionDenied, Code.InvalidArgument, Code.NotFound, Code.Unimplemented];

/** The longest delay of a timer, milliseconds. */
const FOREVER_MS = 2 ** 31 - 1;

/** Creates a guard, which connects at once. Throws TypeError for invalid options. */
export function createGuard(options: GuardOptions, internals: Internals = {}): Guard {
  checkGuardOptions(options);
  const { whenStale = "introspect", maxStaleMs = 30_000, cacheMs = 10_000 } = options;
  const { maxCached = 10_000, timeoutMs = 3_000, onDenied, onStale, onError } = options;

  const closing = new AbortController();
  const { signal } = closing;
  const { transport, streams, close: closeConnection } = connect(options);
  const authz = createClient(AuthzService, transport);
  const clock = createServerClock();
  const { on, emit } = createEmitter();

  const common = { clock, signal, silenceMs: internals.silenceMs };
  const verifier = options.jwt && createJwtVerifier(options.jwt, common);
  // From here on nothing throws.
  const [ready, settle] = createReady();
  const sessions =
    options.introspect === true
      ? createSessions(
          { sessions: createClient(SessionService, transport), events: streams },
          { ...common, cacheMs, maxCached, timeoutMs },
        )
      : undefined;
  const verified = createRecent<Known>(maxCached);
  /** The number of questions about JWTs that wait for an answer. */
  let asking = 0;

  const locks = followLocks(streams, {
    ...common,
    organizationId: options.organizationId,
    maxStaleMs,
    listener: {
      onDenied: (denial) => emit("locked", denial),
      onAdmitted: (userId) => emit("unlocked", { userId }),
      onChange: (userId) => sessions?.forget(userId),
      onGap: () => sessions?.forgetAll(),
      onFresh() {
        settle();
        emit("fresh", undefined);
      },
      onStale() {
        callSafely(onStale);
        emit("stale", undefined);
      },
      onEnd(error) {
        if (LASTING.includes(error.code)) settle(error);
        callSafely(onError, error);
      },
    },
  });

  /** Whether the set of denied users decides. */
  const isDecisive = () => locks.isFresh() || (whenStale === "allow" && locks.isWhole());

  function denied(subject: string): Refusal {
    const refusal = refuse("USER_DENIED", subject);
    callSafely(onDenied, refusal);
    return refusal;
  }

  /** Whether the set decides, or the server can be asked instead. */
  const isDecidable = () => !signal.aborted && (isDecisive() || whenStale === "introspect");

  function judge(token: string, known: Known): Verdict | Promise<Verdict> {
    if (signal.aborted) return refuse("UNAVAILABLE");
    if (isDecisive()) return judgeBySet(known);
    return whenStale === "introspect" ? judgeByServer(token, known) : refuse("UNAVAILABLE");
  }

  function judgeBySet({ subject, high, low, verdict }: Known): Verdict {
    return locks.isHashDenied(high, low) ? denied(subject) : verdict;
  }

  /** Calls do not share answers: one to an earlier question may be older than a lock. */
  async function judgeByServer(token: string, known: Known): Promise<Verdict> {
    const refusal = await askAbout(token);
    if (signal.aborted) return refuse("UNAVAILABLE");
    // The set may have become current meanwhile, and then knows more than the answer.
    if (refusal !== "TOKEN_INVALID" && isDecisive()) return judgeBySet(known);
    return refusal ? refuse(refusal) : known.verdict;
  }

  /** Asks the server whether the user of a JWT may act. It must trust the same issuer. */
  async function askAbout(token: string): Promise<"TOKEN_INVALID" | "UNAVAILABLE" | undefined> {
    if (asking >= MAX_ASKING) return "UNAVAILABLE";
    asking++;
    try {
      const headers = { authorization: `Bearer ${token}` };
      await authz.authorize({}, { headers, timeoutMs, signal, onHeader: clock.observe });
      return undefined;
    } catch (error) {
      return UserlockError.from(error).code === Code.Unauthenticated ? "TOKEN_INVALID" : "UNAVAILABLE";
    } finally {
      asking--;
    }
  }

  async function checkJwt(token: string, { verify }: JwtVerifier): Promise<Verdict> {
    let jwt: VerifiedJwt | "TOKEN_INVALID" | "TOKEN_EXPIRED";
    try {
      jwt = await verify(token);
    } catch {
      return refuse("UNAVAILABLE");
    }
    if (signal.aborted) return refuse("UNAVAILABLE");
    if (typeof jwt === "string") return refuse(jwt);
    locks.hasher.hash(jwt.subject);
    const { high, low } = locks.hasher;
    const known: Known = { ...jwt, high, low, verdict: Object.freeze({ ok: true, identity: identityOfJwt(jwt) }) };
    if (jwt.edition !== undefined) verified.set(token, known);
    return judge(token, known);
  }

  async function checkSession(token: string, { find }: Sessions): Promise<Verdict> {
    if (!token.startsWith(SESSION_PREFIX)) return refuse("TOKEN_INVALID");
    if (!isDecidable()) return refuse("UNAVAILABLE");
    try {
      const session = await find(token, isDecisive());
      if (!isDecidable()) return refuse("UNAVAILABLE");
      if (!session) return refuse("TOKEN_INVALID");
      if (isDecisive() && locks.isDenied(session.userId)) return denied(session.userId);
      const { userId: subject, username, expires } = session;
      return { ok: true, identity: { subject, ...(username && { username }), expires: new Date(expires) } };
    } catch {
      return refuse("UNAVAILABLE");
    }
  }

  async function checkAnew(token: string | undefined): Promise<Verdict> {
    if (signal.aborted) return refuse("UNAVAILABLE");
    if (!token) return refuse("TOKEN_MISSING");
    if (token.length > MAX_TOKEN_LENGTH || !/^[\x21-\x7e]+$/.test(token)) return refuse("TOKEN_INVALID");
    if (verifier && isJwt(token)) return checkJwt(token, verifier);
    return sessions ? checkSession(token, sessions) : refuse("TOKEN_INVALID");
  }

  function close(): void {
    closing.abort(new UserlockError("the guard is closed", { code: Code.Canceled }));
    settle(signal.reason);
    closeConnection();
    verified.clear();
  }
  if (options.signal?.aborted) close();
  else options.signal?.addEventListener("abort", close, { once: true, signal });

  return {
    ready,
    get isFresh() {
      return !signal.aborted && locks.isFresh();
    },
    get size() {
      return locks.size;
    },
    async check(token) {
      const known = token === undefined ? undefined : verified.get(token);
      if (token !== undefined && known && known.edition === verifier?.edition() && clock.now() < known.expires) {
        return judge(token, known);
      }
      return checkAnew(token);
    },
    checkSubject(userId) {
      if (signal.aborted || !isDecisive()) return refuse("UNAVAILABLE");
      return locks.isDenied(userId) ? denied(userId) : { ok: true, identity: { subject: userId } };
    },
    isDenied: locks.isDenied,
    on,
    close,
  };
}

/**
 * A promise, and the function that settles it once. Nobody needs to wait for it. It keeps the program running until then,
 * because a program whose top-level `await` cannot end any more exits with code 13.
 */
function createReady(): [Promise<void>, (error?: unknown) => void] {
  const running = setInterval(() => {}, FOREVER_MS);
  let settle: (error?: unknown) => void = () => {};
  const promise = new Promise<void>((resolve, reject) => {
    settle = (error) => {
      clearInterval(running);
      if (error === undefined) resolve();
      else reject(error);
    };
  });
  promise.catch(() => {});
  return [promise, settle];
}

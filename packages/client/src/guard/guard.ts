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
import { type ConnectionOptions, connect } from "../connection.ts";
import { UserlockError } from "../errors.ts";
import { createEmitter, type On } from "./events.ts";
import { createJwtVerifier, isJwt, type JwtOptions, type JwtVerifier, type VerifiedJwt } from "./jwt.ts";
import { followLocks } from "./locks.ts";
import { createRecent } from "./recent.ts";
import { createServerClock } from "./server-clock.ts";
import { createSessions, type Sessions } from "./sessions.ts";
import { type Identity, type Refusal, refuse, type Verdict } from "./verdict.ts";

export type { GuardEvents, On } from "./events.ts";
export type { JwtOptions } from "./jwt.ts";
export type { Denial } from "./locks.ts";
export type { Identity, Refusal, RefusalReason, Verdict } from "./verdict.ts";

/** Options of `createGuard`. At least one of `jwt` and `introspect` is needed. */
export interface GuardOptions extends ConnectionOptions {
  /** Accepts JWTs of this issuer. They are verified here. */
  jwt?: JwtOptions;
  /** Accepts tokens of userlock's sessions. The server is asked, and its answer is kept for `cacheMs`. */
  introspect?: boolean;
  /** Follows only users of this organization, for a token with the role GATEWAY in it. */
  organizationId?: string;
  /** What to do while the set of denied users is not current. The default is "introspect". */
  whenStale?: "introspect" | "deny" | "allow";
  /** How long without a sign of life of the server until the set is stale, milliseconds, 30,000 by default. */
  maxStaleMs?: number;
  /** How long the answer about a session's token is kept, milliseconds, 10,000 by default. */
  cacheMs?: number;
  /** The number of tokens of each kind in memory, 10,000 by default. */
  maxCached?: number;
  /** The longest wait for the server's answer about a token, milliseconds, 3,000 by default. */
  timeoutMs?: number;
  /** Called when a good token of a denied user is refused. */
  onDenied?: (refusal: Refusal) => void;
  /** Called when the set becomes stale. */
  onStale?: () => void;
  /** Called when a stream fails. It is opened again in any case. */
  onError?: (error: UserlockError) => void;
  /** Closes the guard. */
  signal?: AbortSignal;
}

/** Refuses the tokens of users who may not act. */
export interface Guard {
  /** Resolves with the first whole set of denied users. Rejects if the server refuses to send it. */
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

/** Creates a guard, which connects at once. Throws TypeError for invalid options. */
export function createGuard(options: GuardOptions, internals: Internals = {}): Guard {
  const { whenStale = "introspect", maxStaleMs = 30_000, cacheMs = 10_000 } = options;
  const { maxCached = 10_000, timeoutMs = 3_000, onDenied, onStale, onError } = options;
  if (!options.jwt && !options.introspect) throw new TypeError("jwt or introspect: one of them is needed");

  const closing = new AbortController();
  const { signal } = closing;
  const { transport, streams, close: closeConnection } = connect(options);
  const authz = createClient(AuthzService, transport);
  const clock = createServerClock();
  const { on, emit } = createEmitter();
  const [ready, settle] = createReady();

  const common = { clock, signal, silenceMs: internals.silenceMs };
  const sessions =
    options.introspect === true
      ? createSessions(
          { sessions: createClient(SessionService, transport), events: streams },
          { ...common, cacheMs, maxCached, timeoutMs },
        )
      : undefined;
  const verifier = options.jwt && createJwtVerifier(options.jwt, common);
  const verified = createRecent<Known>(maxCached);
  /** The questions about tokens that wait for an answer, so that calls with one token ask once. */
  const asking = new Map<string, Promise<Verdict>>();

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
        onStale?.();
        emit("stale", undefined);
      },
      onEnd(error) {
        if (LASTING.includes(error.code)) settle(error);
        onError?.(error);
      },
    },
  });

  /** Whether the set of denied users decides. */
  const isDecisive = () => locks.isFresh() || (whenStale === "allow" && locks.isWhole());

  function denied(subject: string): Refusal {
    const refusal = refuse("USER_DENIED", subject);
    onDenied?.(refusal);
    return refusal;
  }

  function judge(token: string, known: Known): Verdict | Promise<Verdict> {
    if (isDecisive()) return locks.isHashDenied(known.high, known.low) ? denied(known.subject) : known.verdict;
    if (whenStale !== "introspect") return refuse("UNAVAILABLE");
    return askOnce(token, () => askAbout(token, known));
  }

  /** Asks the server whether the user of a JWT may act. It must trust the same issuer. */
  async function askAbout(token: string, { verdict }: Known): Promise<Verdict> {
    const headers = { authorization: `Bearer ${token}` };
    try {
      await authz.authorize({}, { headers, timeoutMs, signal, onHeader: clock.observe });
      return verdict;
    } catch (error) {
      return refuse(UserlockError.from(error).code === Code.Unauthenticated ? "TOKEN_INVALID" : "UNAVAILABLE");
    }
  }

  /** Calls with one token share an answer. */
  async function askOnce(token: string, ask: () => Promise<Verdict>): Promise<Verdict> {
    const running = asking.get(token);
    if (running) return running;
    if (asking.size >= MAX_ASKING) return refuse("UNAVAILABLE");
    const answer = ask().finally(() => asking.delete(token));
    asking.set(token, answer);
    return answer;
  }

  async function checkJwt(token: string, { verify }: JwtVerifier): Promise<Verdict> {
    let jwt: VerifiedJwt | "TOKEN_INVALID" | "TOKEN_EXPIRED";
    try {
      jwt = await verify(token);
    } catch {
      return refuse("UNAVAILABLE");
    }
    if (typeof jwt === "string") return refuse(jwt);
    locks.hasher.hash(jwt.subject);
    const { high, low } = locks.hasher;
    const known: Known = { ...jwt, high, low, verdict: Object.freeze({ ok: true, identity: identityOfJwt(jwt) }) };
    if (jwt.edition !== undefined) verified.set(token, known);
    return judge(token, known);
  }

  async function checkSession(token: string, { find }: Sessions): Promise<Verdict> {
    if (!isDecisive() && whenStale !== "introspect") return refuse("UNAVAILABLE");
    try {
      const session = await find(token, isDecisive());
      if (!session) return refuse("TOKEN_INVALID");
      if (isDecisive() && locks.isDenied(session.userId)) return denied(session.userId);
      const { userId: subject, username, expires } = session;
      return { ok: true, identity: { subject, ...(username && { username }), expires: new Date(expires) } };
    } catch {
      return refuse("UNAVAILABLE");
    }
  }

  async function checkAnew(token: string | undefined): Promise<Verdict> {
    if (!token) return refuse("TOKEN_MISSING");
    if (signal.aborted) return refuse("UNAVAILABLE");
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
      return locks.isFresh();
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

/** A promise, and the function that settles it once. Nobody needs to wait for it. */
function createReady(): [Promise<void>, (error?: unknown) => void] {
  let settle: (error?: unknown) => void = () => {};
  const promise = new Promise<void>((resolve, reject) => {
    settle = (error) => (error === undefined ? resolve() : reject(error));
  });
  promise.catch(() => {});
  return [promise, settle];
}

function identityOfJwt({ subject, claims, expires }: VerifiedJwt): Identity {
  const { sid } = claims;
  const sessionId = typeof sid === "string" ? { sessionId: sid } : {};
  return Object.freeze({ subject, ...sessionId, expires: new Date(expires), claims: Object.freeze(claims) });
}

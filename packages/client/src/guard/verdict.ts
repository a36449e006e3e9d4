/** Who a good token belongs to. */
export interface Identity {
  /** The user's id, or the subject of a JWT. */
  readonly subject: string;
  /** The id of the session: the claim `sid` of a JWT. */
  readonly sessionId?: string;
  /** One of the user's names, for the token of a session. */
  readonly username?: string;
  /** When the token is no longer good. */
  readonly expires?: Date;
  /** The claims of a JWT. */
  readonly claims?: Readonly<Record<string, unknown>>;
}

/** Why a call is refused. Only UNAVAILABLE is no fault of the caller: nobody can tell now whether the user may act. */
export type RefusalReason = "TOKEN_MISSING" | "TOKEN_INVALID" | "TOKEN_EXPIRED" | "USER_DENIED" | "UNAVAILABLE";

/** A call that is refused. */
export interface Refusal {
  readonly ok: false;
  readonly reason: RefusalReason;
  /** The user, if the token is good and the user is denied. */
  readonly subject?: string;
}

/** What a guard says of a token. */
export type Verdict = { readonly ok: true; readonly identity: Identity } | Refusal;

/** The refusal with this reason. */
export function refuse(reason: RefusalReason, subject?: string): Refusal {
  return { ok: false, reason, ...(subject !== undefined && { subject }) };
}

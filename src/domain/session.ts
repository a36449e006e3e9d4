import type { Owner } from "./access.ts";
import type { Aggregate } from "./aggregate.ts";
import { DomainError } from "./errors.ts";
import { isKept, type User } from "./user-state.ts";

/** A login session. Only the SHA-256 of its secret is stored. */
export interface Session {
  id: string;
  /** The user's owner. */
  owner: Owner;
  userId: string;
  /** The user's epoch when the session was opened. */
  epoch: number;
  /** SHA-256 of the secret, base64url. */
  hash: string;
  /** When it expires, microseconds since the Unix epoch. */
  expires: number;
  /** The id of the device that it was opened from. */
  device?: string;
  /** The network address and the User-Agent that opened it. They are personal data, and kept until it ends. */
  address?: string;
  userAgent?: string;
  ended: boolean;
}

type NewSession = Omit<Session, "ended">;

export type SessionCommand = { type: "open"; session: NewSession } | { type: "end" };

export type SessionEvent = { type: "session.opened"; data: NewSession } | { type: "session.ended"; data: object };

export const session: Aggregate<Session, SessionCommand, SessionEvent> = {
  kind: "session",
  notFound: "SESSION_NOT_FOUND",
  toSee: "session.read",
  decide,
  evolve,
  owner: (state) => state.owner,
  claims: (state) => (state.ended ? [] : [sessionClaim(state.hash)]),
  isGone: (state) => state.ended,
  userId: (state) => state.userId,
  logged,
};

/** The claim by which a session is found. */
export function sessionClaim(hash: string): string {
  return `session:${hash}`;
}

/**
 * Whether the session is open. A lock, a deactivation, a deletion and a new password end all sessions of the user with
 * one event, which increments the user's epoch.
 */
export function isOpen(state: Session, user: User | undefined, time: number): boolean {
  if (state.ended || time >= state.expires) return false;
  return user?.id === state.userId && user.lifecycle === "active" && isKept(user, state);
}

function decide(state: Session | undefined, command: SessionCommand): SessionEvent[] {
  if (command.type === "open") {
    if (state !== undefined) throw new DomainError("SESSION_NOT_FOUND", "The id was used before.");
    return [{ type: "session.opened", data: command.session }];
  }
  if (state === undefined || state.ended) throw new DomainError("SESSION_NOT_FOUND", "The session does not exist.");
  return [{ type: "session.ended", data: {} }];
}

function evolve(state: Session | undefined, event: SessionEvent): Session {
  if (event.type === "session.opened") return { ...event.data, ended: false };
  const { address: _from, userAgent: _with, ...rest } = state as Session;
  return { ...rest, ended: true };
}

/** Without what the login page said about the user's device. The actor of the event is the login page. */
function logged(event: SessionEvent): SessionEvent {
  if (event.type !== "session.opened") return event;
  const { address: _from, userAgent: _with, ...data } = event.data;
  return { ...event, data };
}

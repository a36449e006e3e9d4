import { authorise, holds, isSelf, missing, type Permission } from "../domain/access.ts";
import { isOpen, type Session, session, sessionClaim } from "../domain/session.ts";
import { user } from "../domain/user.ts";
import type { User } from "../domain/user-state.ts";
import { type EventStore, load, loadByClaimWith } from "../store/port.ts";
import type { Caller, Change, Execute, Stored } from "./execute.ts";
import { createLists, type List, type Lists, type Paging } from "./search.ts";

/** UTF-16 code units of a User-Agent that are kept. */
const MAX_USER_AGENT = 200;

/** An open session and its user. */
export interface OpenSession {
  session: Stored<Session>;
  user: Stored<User>;
}

/** Finds the open session with this token hash, if any. All code that accepts a session's token uses it. */
export type FindSession = (tokenHash: string) => Promise<OpenSession | undefined>;

export function createFindSession({ store, clock }: { store: EventStore; clock: () => number }): FindSession {
  return async (tokenHash) => {
    const link = { rules: user, field: "state.userId" };
    const found = await loadByClaimWith(store, session, sessionClaim(tokenHash), link);
    return found && ifOpen(found.record, found.other, clock());
  };
}

type ReceiptOf<State> = Change<never, State>["receipt"];

export type Sessions = ReturnType<typeof createSessions>;

/** `lists` is shared with other lists of sessions or tokens. */
export function createSessions(parts: { store: EventStore; execute: Execute; clock: () => number; lists?: Lists }) {
  const { store, execute, clock, lists = createLists(store) } = parts;

  /** Rejects with SESSION_NOT_FOUND, or with PERMISSION_MISSING without the permission or the session's token. */
  async function get(
    id: string,
    tokenHash: string | undefined,
    permission: Permission,
    { principal }: Caller,
  ): Promise<OpenSession> {
    const record = await load(store, session, id);
    const owner = record && (await load(store, user, record.state.userId));
    const found = record && ifOpen(record, owner, clock());
    if (found && found.session.state.hash === tokenHash) return found;
    if (!holds(principal, permission)) throw missing(permission);
    const { toSee, notFound } = session;
    return authorise(principal, { permission, toSee, notFound }, found && { ...found, owner: found.session.owner });
  }

  return {
    /** Opens a session for a user who has just logged in. */
    open(
      owner: Stored<User>,
      opening: {
        id: string;
        tokenHash: string;
        lifetime: number;
        device?: string;
        /** The address and the User-Agent of the user's device; by default the caller's. */
        address?: string | undefined;
        userAgent?: string | undefined;
        receipt?: ReceiptOf<Session>;
      },
      caller: Caller,
    ): Promise<Stored<Session>> {
      const { id, tokenHash, lifetime, device, receipt } = opening;
      const { address = caller.actor.address, userAgent = caller.actor.userAgent } = opening;
      const opened = {
        id,
        owner: owner.owner,
        userId: owner.id,
        epoch: owner.state.epoch ?? 0,
        hash: tokenHash,
        expires: clock() + lifetime,
        ...(device !== undefined && { device }),
        ...(address !== undefined && { address }),
        // The cut can leave half a surrogate pair.
        ...(userAgent !== undefined && { userAgent: userAgent.slice(0, MAX_USER_AGENT).toWellFormed() }),
      };
      const command = { type: "open", session: opened } as const;
      return execute(session, { id, command, permission: "session.write", newOwner: owner.owner, receipt }, caller);
    },
    get,
    async list(
      userId: string,
      { offset, limit, descending }: Paging,
      permission: Permission,
      { principal, signal }: Caller,
    ): Promise<List<Session>> {
      const record = await load(store, user, userId);
      const found = record && !user.isGone(record.state) ? record : undefined;
      const wanted = { permission, toSee: permission, notFound: user.notFound };
      const { state } = found && isSelf(principal, userId) ? found : authorise(principal, wanted, found);
      const kept = state.keptSession === undefined ? [] : [{ field: "id", is: state.keptSession }];
      const current = [{ field: "state.epoch", is: state.epoch ?? 0 }, ...kept];
      const query = {
        where: {
          all: [
            { field: "state.userId", is: userId },
            { any: state.lifecycle === "active" ? current : [] },
            { field: "state.ended", is: false },
            { field: "state.expires", atLeast: clock() + 1 },
          ],
        },
        order: { keys: [{ field: "created" }], descending },
        offset,
        limit,
      };
      return lists({ principal, signal }, session, query);
    },
    async end(
      id: string,
      tokenHash: string | undefined,
      ending: { permission: Permission; receipt?: ReceiptOf<Session> },
      caller: Caller,
    ): Promise<Stored<Session>> {
      await get(id, tokenHash, ending.permission, caller);
      return execute(session, { id, command: { type: "end" }, isAuthorised: true, ...ending }, caller);
    },
    endAll(
      userId: string,
      ending: { permission: Permission; receipt?: ReceiptOf<User> },
      caller: Caller,
    ): Promise<Stored<User>> {
      const own = isSelf(caller.principal, userId) ? { isAuthorised: true as const } : {};
      return execute(user, { id: userId, command: { type: "end_sessions" }, ...own, ...ending }, caller);
    },
  };
}

function ifOpen(record: Stored<Session>, owner: Stored<User> | undefined, now: number): OpenSession | undefined {
  return owner && isOpen(record.state, owner.state, now) ? { session: record, user: owner } : undefined;
}

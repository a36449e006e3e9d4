import { hostname } from "node:os";
import { createExecute } from "./app/execute.ts";
import { createSearch } from "./app/search.ts";
import { hashSecret, newSecret } from "./auth/authenticate.ts";
import { systemClock } from "./clock.ts";
import type { Config } from "./config.ts";
import { operatorOn } from "./domain/system-subjects.ts";
import { accessToken } from "./domain/token.ts";
import { type UserCommand, user } from "./domain/user.ts";
import type { Lock } from "./domain/user-state.ts";
import { idGenerator } from "./ids.ts";
import { openStore } from "./store/open.ts";

/** A locked user, as the command line shows him; times are microseconds since the Unix epoch. */
export interface LockedUser {
  id: string;
  lock: Lock;
}

/**
 * The way back for who has the store in his hands: it needs no token and no server, works beside running servers, and
 * its events name `admin@host`. Its methods reject with a DomainError.
 */
export interface Admin {
  unlock(userId: string): Promise<void>;
  /**
   * A new token of an INSTANCE_OWNER; `lifetime` is in microseconds. Resolves with its secret. That of a break-glass
   * account is the system's own, too: no grant reaches it.
   */
  createToken(subject: string, lifetime: number | undefined): Promise<string>;
  /** Revokes all tokens of the subject. Resolves with their number. */
  revokeTokens(subject: string): Promise<number>;
  /** A user of the system's own, whom no grant reaches: a break-glass account. */
  createUser(userId: string): Promise<void>;
  locked(): AsyncGenerator<LockedUser>;
  close(): Promise<void>;
}

const PAGE = 1_000;

/**
 * Rejects with StoreRefused if the store is not there or cannot be used: a new one would have nothing to go back to.
 */
export async function openAdmin({ store: settings, instance }: Config): Promise<Admin> {
  const clock = systemClock();
  const newId = idGenerator(clock);
  const store = await openStore(settings, instance.id, { mustBeThere: true });
  const execute = createExecute({ store, clock });
  const search = createSearch({ store, clock });
  const subject = operatorOn(hostname());
  const principal = { subject, grants: [], isSystem: true } as const;
  const caller = { principal, actor: { subject }, signal: new AbortController().signal };

  return {
    async unlock(id) {
      await execute(user, { id, command: { type: "unlock" }, permission: "user.write" }, caller);
    },
    async createToken(subject, lifetime) {
      const secret = newSecret();
      const holder = await store.load(user.kind, subject);
      const owner = holder?.owner.type === "system" ? holder.owner : ({ type: "instance", id: instance.id } as const);
      const token = {
        id: newId(),
        owner,
        subject,
        grants: [{ role: "INSTANCE_OWNER" } as const],
        hash: hashSecret(secret),
        ...(lifetime !== undefined && { expires: clock() + lifetime }),
      };
      const command = { type: "create", token } as const;
      await execute(accessToken, { id: token.id, command, permission: "access.write", newOwner: owner }, caller);
      return secret;
    },
    async revokeTokens(subject) {
      for (let revoked = 0; ; ) {
        const { result } = await search.tokens(caller, { subject, limit: PAGE, offset: 0, descending: false });
        if (result.length === 0) return revoked;
        for (const { id } of result) {
          await execute(accessToken, { id, command: { type: "revoke" }, permission: "access.write" }, caller);
          revoked++;
        }
      }
    },
    async createUser(id) {
      const owner = { type: "system", id: "system" } as const;
      const command: UserCommand = { type: "create", id, owner, profile: {}, usernames: [] };
      await execute(user, { id, command, permission: "user.write", newOwner: owner }, caller);
    },
    async *locked() {
      const page = { limit: PAGE, descending: false, filters: [{ state: "locked" as const }], column: "id" as const };
      for (let offset = 0; ; ) {
        const { result, total } = await search.users(caller, { ...page, offset });
        for (const { id, state } of result) yield { id, lock: state.lock as Lock };
        offset += result.length;
        if (result.length === 0 || offset >= total) return;
      }
    },
    close: () => store.close(),
  };
}

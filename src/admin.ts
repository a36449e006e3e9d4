import { hostname } from "node:os";
import { createExecute, systemCaller } from "./app/execute.ts";
import { createSearch } from "./app/search.ts";
import { resetKey } from "./app/startup/instance-key.ts";
import { hashSecret, newSecret } from "./auth/authenticate.ts";
import { systemClock } from "./clock.ts";
import type { Config } from "./config/config.ts";
import type { Owner } from "./domain/access.ts";
import { operatorOn } from "./domain/identifier.ts";
import { accessToken } from "./domain/token.ts";
import { type UserCommand, user } from "./domain/user.ts";
import type { Lock } from "./domain/user-state.ts";
import { idGenerator } from "./ids.ts";
import { openStore } from "./store/open.ts";

export type Admin = Awaited<ReturnType<typeof openAdmin>>;

const PAGE = 1_000;

/** How long a code for the console is good, microseconds. */
const CODE_LIFETIME = 60 * 1_000_000;

/**
 * Opens the store for `userlock admin`, which needs no token and no server, and may run beside servers. Its events have
 * the subject `admin@host`. Rejects with StoreRefused if there is no store, because a new one would have no users.
 */
export async function openAdmin({ store: settings, instance }: Config) {
  const clock = systemClock();
  const newId = idGenerator(clock);
  const store = await openStore(settings, instance.id, { mustBeThere: true });
  const execute = createExecute({ store, clock });
  const search = createSearch({ store, clock });
  const caller = systemCaller(operatorOn(hostname()));
  const ofInstance: Owner = { type: "instance", id: instance.id };

  async function createOwnerToken(subject: string, lifetime: number | undefined, owner: Owner): Promise<string> {
    const secret = newSecret();
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
  }

  return {
    async unlock(id: string): Promise<void> {
      await execute(user, { id, command: { type: "unlock" }, permission: "user.write" }, caller);
    },
    async createToken(subject: string, lifetime: number | undefined): Promise<string> {
      const holder = await store.load(user.kind, subject);
      return createOwnerToken(subject, lifetime, holder?.owner.type === "system" ? holder.owner : ofInstance);
    },
    // Owned by the instance, so that the console can revoke it. A subject with the owner SYSTEM is out of its reach.
    createConsoleCode: (subject: string): Promise<string> => createOwnerToken(subject, CODE_LIFETIME, ofInstance),
    async revokeTokens(subject: string): Promise<number> {
      for (let revoked = 0; ; ) {
        const { records } = await search.tokens(caller, { subject, limit: PAGE, offset: 0, descending: false });
        if (records.length === 0) return revoked;
        for (const { id } of records) {
          await execute(accessToken, { id, command: { type: "revoke" }, permission: "access.write" }, caller);
          revoked++;
        }
      }
    },
    async createUser(id: string): Promise<void> {
      const owner = { type: "system", id: "system" } as const;
      const command: UserCommand = { type: "create", id, owner, profile: {}, usernames: [] };
      await execute(user, { id, command, permission: "user.write", newOwner: owner }, caller);
    },
    async *locked(): AsyncGenerator<{ id: string; lock: Lock }> {
      const page = { limit: PAGE, descending: false, filters: [{ state: "locked" as const }], column: "id" as const };
      for (let offset = 0; ; ) {
        const { records, total } = await search.users(caller, { ...page, offset });
        for (const { id, state } of records) yield { id, lock: state.lock as Lock };
        offset += records.length;
        if (records.length === 0 || offset >= total) return;
      }
    },
    resetKey: () => resetKey(execute, caller),
    close: () => store.close(),
  };
}

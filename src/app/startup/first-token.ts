import { DomainError } from "../../domain/errors.ts";
import { USERLOCK } from "../../domain/system-subjects.ts";
import { type AccessToken, accessToken } from "../../domain/token.ts";
import type { EventStore } from "../../store/port.ts";
import type { Execute } from "../execute.ts";

/** Id of the first token. It is fixed, so that of servers which start together on an empty store one makes it. */
const FIRST_TOKEN_ID = "admin";
const SUBJECT = "admin";

/**
 * Gives a store that never had one its first token, an INSTANCE_OWNER's. `hashOfSecret` is asked for only then.
 * Resolves with the hash of the token that is there, which another server may have made; undefined if it was revoked.
 * Rejects with STORE_UNAVAILABLE.
 */
export async function ensureFirstToken(parts: {
  store: EventStore;
  execute: Execute;
  instanceId: string;
  hashOfSecret: () => string;
}): Promise<string | undefined> {
  const { store, execute, instanceId, hashOfSecret } = parts;
  // Not by the log, in which what was answered may come later.
  const load = async () => (await store.load(accessToken.kind, FIRST_TOKEN_ID))?.state as AccessToken | undefined;
  let found = await load();
  if (!found) {
    await make(execute, instanceId, hashOfSecret());
    found = await load();
  }
  return found?.revoked ? undefined : found?.hash;
}

async function make(execute: Execute, instanceId: string, hash: string): Promise<void> {
  const owner = { type: "instance", id: instanceId } as const;
  const grants = [{ role: "INSTANCE_OWNER" } as const];
  const token = { id: FIRST_TOKEN_ID, owner, subject: SUBJECT, grants, hash };
  try {
    await execute(
      accessToken,
      { id: token.id, command: { type: "create", token }, permission: "access.write", newOwner: owner },
      {
        principal: { subject: USERLOCK, grants },
        actor: { subject: USERLOCK },
        signal: new AbortController().signal,
      },
    );
  } catch (error) {
    if (!(error instanceof DomainError) || error.reason !== "TOKEN_ALREADY_EXISTS") throw error;
  }
}

import { DomainError } from "../domain/errors.ts";
import { accessToken } from "../domain/token.ts";
import type { EventStore } from "../store/port.ts";
import type { Execute } from "./execute.ts";

/** Id of the first token. It is fixed, so that of servers which start together on an empty store one makes it. */
const FIRST_TOKEN_ID = "admin";
const SUBJECT = "admin";

/**
 * Gives an empty store its first token, an INSTANCE_OWNER's. `hashOfSecret` is asked for only if the store is empty.
 * Rejects with STORE_UNAVAILABLE.
 */
export async function ensureFirstToken(parts: {
  store: EventStore;
  execute: Execute;
  instanceId: string;
  hashOfSecret: () => string;
}): Promise<void> {
  const { store, execute, instanceId, hashOfSecret } = parts;
  const { events } = await store.read({ limit: 1 });
  if (events.length > 0) return;

  const owner = { type: "instance", id: instanceId } as const;
  const grants = [{ role: "INSTANCE_OWNER" } as const];
  const token = { id: FIRST_TOKEN_ID, owner, subject: SUBJECT, grants, hash: hashOfSecret() };
  try {
    await execute(
      accessToken,
      { id: token.id, command: { type: "create", token }, permission: "access.write", newOwner: owner },
      {
        principal: { subject: "userlock", grants },
        actor: { subject: "userlock" },
        signal: new AbortController().signal,
      },
    );
  } catch (error) {
    if (!(error instanceof DomainError) || error.reason !== "TOKEN_ALREADY_EXISTS") throw error;
  }
}

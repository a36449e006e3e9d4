import { rmSync } from "node:fs";
import { join } from "node:path";
import { hasReason } from "../../domain/errors.ts";
import { accessToken } from "../../domain/token.ts";
import { type EventStore, load } from "../../store/port.ts";
import { type Execute, systemCaller } from "../execute.ts";
import { readSecret, secretInFile, TOKEN_FILE } from "./secret-file.ts";

/** Id of the first token. It is fixed, so that of servers which start together on an empty store one makes it. */
const FIRST_TOKEN_ID = "admin";
const SUBJECT = "admin";

interface Parts {
  store: EventStore;
  execute: Execute;
  instanceId: string;
  newSecret: () => string;
  hashSecret: (secret: string) => string;
}

/**
 * Gives a store that never had one its first token, an INSTANCE_OWNER's: the given one, or a new one that is written to
 * the folder. Resolves with the file in the folder that has the first token, if one has: another server's may have it.
 * Rejects with STORE_UNAVAILABLE.
 */
export async function ensureFirstToken(
  parts: Parts,
  given: string | undefined,
  folder: string,
): Promise<string | undefined> {
  const { newSecret, hashSecret } = parts;
  if (given !== undefined) {
    await ensureToken(parts, () => hashSecret(given));
    return undefined;
  }
  const file = join(folder, TOKEN_FILE);
  let isOurs = false;
  const hash = await ensureToken(parts, () => {
    const { secret, isNew } = secretInFile(file, newSecret);
    isOurs = isNew;
    return hashSecret(secret);
  });
  const secret = readSecret(file);
  if (secret !== undefined && hashSecret(secret) === hash) return file;
  // A server with another folder was faster: the file does not have the token.
  if (isOurs) rmSync(file, { force: true });
  return undefined;
}

/** Resolves with the hash of the first token; undefined if it was revoked. `makeHash` is called if it was never made. */
async function ensureToken({ store, execute, instanceId }: Parts, makeHash: () => string): Promise<string | undefined> {
  // Not by the log, in which what was answered may come later.
  const find = async () => (await load(store, accessToken, FIRST_TOKEN_ID))?.state;
  let found = await find();
  if (!found) {
    const owner = { type: "instance", id: instanceId } as const;
    const grants = [{ role: "INSTANCE_OWNER" } as const];
    const token = { id: FIRST_TOKEN_ID, owner, subject: SUBJECT, grants, hash: makeHash() };
    const command = { type: "create", token } as const;
    const change = { id: token.id, command, permission: "access.write", newOwner: owner } as const;
    await execute(accessToken, change, systemCaller()).catch((error) => {
      if (!hasReason(error, "TOKEN_ALREADY_EXISTS")) throw error;
    });
    found = await find();
  }
  return found?.revoked ? undefined : found?.hash;
}

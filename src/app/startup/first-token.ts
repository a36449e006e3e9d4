import { rmSync } from "node:fs";
import { join } from "node:path";
import { hasReason } from "../../domain/errors.ts";
import { accessToken } from "../../domain/token.ts";
import { type EventStore, load } from "../../store/port.ts";
import { type Execute, systemCaller } from "../execute.ts";
import { readSecret, secretInFile, TOKEN_FILE } from "./secret-file.ts";

/** The id of the first token. It is fixed, so that only one of several servers creates it on an empty store. */
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
 * Creates the first token of a new store, for an INSTANCE_OWNER: the given one, or a new one that is written to the
 * folder. Resolves with the file in the folder if it has the first token; another server's folder may have it. Rejects
 * with STORE_UNAVAILABLE.
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
  // A server with another folder was faster, so the file does not have the token.
  if (isOurs) rmSync(file, { force: true });
  return undefined;
}

/** Resolves with the hash of the first token; undefined if it was revoked. Calls `makeHash` if it was never created. */
async function ensureToken({ store, execute, instanceId }: Parts, makeHash: () => string): Promise<string | undefined> {
  // Not from the log, which may lag behind answered appends.
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

import { join } from "node:path";
import { instanceKey } from "../../domain/settings.ts";
import { StoreRefused } from "../../store/port.ts";
import { type Caller, type Execute, systemCaller } from "../execute.ts";
import { KEY_FILE, secretInFile } from "./secret-file.ts";

/** The id of the only stream of its kind. */
const ID = "key";

/** Reads the key from the folder's file, which is created if missing. Throws if the file has no valid key. */
export function keyIn(
  folder: string,
  newKey: () => Buffer,
  keyOf: (text: string) => Uint8Array | undefined,
): Uint8Array {
  const file = join(folder, KEY_FILE);
  const key = keyOf(secretInFile(file, () => newKey().toString("base64")).secret);
  if (!key) throw new Error(`${file} is damaged. It must hold 32 bytes in base64. Restore it from a backup.`);
  return key;
}

/**
 * Ensures that all servers of a store have the same key. Otherwise a server could not verify the others' device tokens,
 * wrong passwords and receipts. The first server records its key's fingerprint. Rejects with StoreRefused if another
 * fingerprint is recorded.
 */
export async function ensureSameKey(parts: {
  execute: Execute;
  instanceId: string;
  fingerprint: string;
}): Promise<void> {
  const { execute, instanceId, fingerprint } = parts;
  const owner = { type: "instance", id: instanceId } as const;
  const command = { type: "record", owner, fingerprint } as const;
  const change = { id: ID, command, permission: "access.write", newOwner: owner } as const;
  const { state } = await execute(instanceKey, change, systemCaller());
  if (state.fingerprint === fingerprint) return;
  throw new StoreRefused(
    "The store belongs to another key. Give all servers the same USERLOCK_SECRET_KEY. " +
      "If the key is lost, run userlock admin reset-key.",
  );
}

/** Lets the next server record its own key. Rejects with KEY_NOT_FOUND if no key is recorded. */
export async function resetKey(execute: Execute, caller: Caller): Promise<void> {
  await execute(instanceKey, { id: ID, command: { type: "reset" }, permission: "access.write" }, caller);
}

import { StoreRefused } from "./port.ts";

export const noStoreAt = (place: string) =>
  new StoreRefused(`There is no store at ${place}. Run this in the server's folder, with its USERLOCK_STORE.`);

/** SQL that upgrades a store from version `index` to `index + 1`. Never edit a released step. */
export type SchemaStep = string;

/** The steps that a store of the given version needs. Throws StoreRefused for a store of a newer program. */
export function pendingSteps(steps: readonly SchemaStep[], version: number): readonly SchemaStep[] {
  if (version > steps.length) {
    throw new StoreRefused(
      `The store has schema version ${version}, and this userlock supports versions up to ${steps.length}: ` +
        "a newer userlock wrote it. Run that one, or restore a backup from before the upgrade.",
    );
  }
  return steps.slice(version);
}

import { StoreRefused } from "./port.ts";

export const noStoreAt = (place: string) => new StoreRefused(`There is no store at ${place}: see USERLOCK_STORE.`);

/**
 * One numbered step of a schema: SQL that takes a store from version `index` to `index + 1`. Never edited once
 * released.
 */
export type SchemaStep = string;

/**
 * The steps that are still to run on a store of the given version. Throws StoreRefused if the store was written by a
 * newer program, for what that one added cannot be read here.
 */
export function pendingSteps(steps: readonly SchemaStep[], version: number): readonly SchemaStep[] {
  if (version > steps.length) {
    throw new StoreRefused(
      `The store has schema version ${version}, and this userlock knows versions up to ${steps.length}: ` +
        "it was written by a newer userlock. Run that one, or restore a backup from before the upgrade.",
    );
  }
  return steps.slice(version);
}

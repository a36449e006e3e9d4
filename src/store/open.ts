import type { EventStore } from "./port.ts";
import { addressOf } from "./settings.ts";
import { IN_MEMORY } from "./sqlite/database.ts";
import { openSqliteStore } from "./sqlite/store.ts";

/** What USERLOCK_STORE names. */
export type StoreSettings = { kind: "sqlite"; file: string } | { kind: "postgres"; url: string };

/**
 * Opens the store that the settings name, for one instance, and makes it if it is not there, unless it `mustBeThere`.
 * One commit takes up to `commitRows` appends, or as many as is usual. Rejects with StoreRefused if the store cannot be
 * used, or is not there and must be.
 */
export async function openStore(
  settings: StoreSettings,
  instance: string,
  options: { mustBeThere?: boolean; commitRows?: number | undefined } = {},
): Promise<EventStore> {
  if (settings.kind === "sqlite") return openSqliteStore(settings.file, instance, options);
  // With its driver it takes some MiB of memory, and time to load.
  const { openPostgresStore } = await import("./postgres/store.ts");
  return openPostgresStore(settings.url, instance, options);
}

/** Whether anything of it is there after the process has ended. */
export function isKept(settings: StoreSettings): boolean {
  return settings.kind !== "sqlite" || settings.file !== IN_MEMORY;
}

/** Where the store is, for people and logs: without a password. */
export function placeOf(settings: StoreSettings): string {
  return settings.kind === "sqlite" ? settings.file : `postgres://${addressOf(settings.url)}`;
}

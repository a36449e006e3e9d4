import type { EventStore } from "./port.ts";
import { addressOf, openPostgresStore } from "./postgres.ts";
import { openSqliteStore } from "./sqlite.ts";

export type StoreSettings = { kind: "sqlite"; file: string } | { kind: "postgres"; url: string };

/** Opens the store that the settings name, for one instance. Rejects with StoreRefused if it cannot be used. */
export function openStore(settings: StoreSettings, instance: string): Promise<EventStore> {
  return settings.kind === "sqlite"
    ? openSqliteStore(settings.file, instance)
    : openPostgresStore(settings.url, instance);
}

/** Where the store is, for people and logs: without a password. */
export function placeOf(settings: StoreSettings): string {
  return settings.kind === "sqlite" ? settings.file : `postgres://${addressOf(settings.url)}`;
}

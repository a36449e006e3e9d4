import type { EventStore, StoreObserver } from "./port.ts";
import type { StoreSettings } from "./settings.ts";
import { openSqliteStore } from "./sqlite/store.ts";

/**
 * Opens the store of the settings for one instance. Creates it if it is missing, unless it `mustBeThere`. One commit
 * takes at most `commitRows` appends. Rejects with StoreRefused if the store is missing or cannot be used.
 */
export async function openStore(
  settings: StoreSettings,
  instance: string,
  options: { mustBeThere?: boolean; commitRows?: number | undefined; observer?: StoreObserver | undefined } = {},
): Promise<EventStore> {
  if (settings.kind === "sqlite") return openSqliteStore(settings.file, instance, options);
  // Loaded on demand, because the driver takes memory and time.
  const { openPostgresStore } = await import("./postgres/store.ts");
  return openPostgresStore(settings.url, instance, options);
}

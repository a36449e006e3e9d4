import type { EventStore } from "./port.ts";
import type { StoreSettings } from "./settings.ts";
import { openSqliteStore } from "./sqlite/store.ts";

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
  // Loaded only here: the driver takes some MiB of memory, and time to load.
  const { openPostgresStore } = await import("./postgres/store.ts");
  return openPostgresStore(settings.url, instance, options);
}

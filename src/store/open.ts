import type { EventStore } from "./port.ts";
import { openSqliteStore } from "./sqlite.ts";
export const openStore = (url: string, instance: string): Promise<EventStore> =>
  openSqliteStore(url.slice("sqlite:".length), instance); // TEMP

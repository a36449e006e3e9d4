import { openStore } from "../../../src/store/open.ts";
import type { EventStore } from "../../../src/store/port.ts";
import { temporaryFolder } from "../servers/server-process.ts";
import { newDatabase } from "./postgres.ts";

/** An empty store that several servers can share. `url` is a value for USERLOCK_STORE. */
export interface EmptyStore {
  url: string;
  remove(): Promise<void> | void;
}

/** The secret key for all servers of one store. */
export const SHARED_KEY = { USERLOCK_SECRET_KEY: Buffer.alloc(32, 1).toString("base64") };

/** The kinds of stores that servers are tested on, by name. */
export const STORES: [name: string, make: () => Promise<EmptyStore>][] = [
  [
    "SQLite",
    async () => {
      const folder = temporaryFolder();
      return { url: `sqlite:${folder.file("userlock.db")}`, remove: folder.remove };
    },
  ],
  [
    "PostgreSQL",
    async () => {
      const { url, drop } = await newDatabase();
      return { url, remove: drop };
    },
  ],
];

/** Opens the store that USERLOCK_STORE names, beside its servers. */
export function openStoreAt(url: string): Promise<EventStore> {
  const isFile = url.startsWith("sqlite:");
  return openStore(
    isFile ? { kind: "sqlite", file: url.slice("sqlite:".length) } : { kind: "postgres", url },
    "default",
  );
}

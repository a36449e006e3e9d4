import { dirname } from "node:path";

/** What USERLOCK_STORE names. */
export type StoreSettings = { kind: "sqlite"; file: string } | { kind: "postgres"; url: string };

/** The SQLite file of a store that ends with its process. */
export const IN_MEMORY = ":memory:";

/** Whether the store outlives the process. */
export function isKept(settings: StoreSettings): boolean {
  return settings.kind !== "sqlite" || settings.file !== IN_MEMORY;
}

/** The kind of the store, in a word. */
export function kindOf(settings: StoreSettings): "memory" | "sqlite" | "postgres" {
  return isKept(settings) ? settings.kind : "memory";
}

/** The folder for what must not be in the store, and the files of the store itself that are beside it. */
export function filesOf(settings: StoreSettings): { folder: string; database: string[] } {
  if (settings.kind !== "sqlite") return { folder: "data", database: [] };
  return { folder: dirname(settings.file), database: ["", "-wal", "-shm"].map((end) => settings.file + end) };
}

/** Where the store is, for people and logs: without a password. */
export function placeOf(settings: StoreSettings): string {
  return settings.kind === "sqlite" ? settings.file : `postgres://${addressOf(settings.url)}`;
}

/** Host, port and database of an address, without what must not be shown. */
export function addressOf(url: string): string {
  if (!URL.canParse(url)) return "the given address";
  const { host, pathname } = new URL(url);
  return `${host || "localhost"}${pathname}`;
}

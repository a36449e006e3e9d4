import { dirname } from "node:path";

/** The store of USERLOCK_STORE. */
export type StoreSettings = { kind: "sqlite"; file: string } | { kind: "postgres"; url: string };

/** The file name of an in-memory SQLite store. */
export const IN_MEMORY = ":memory:";

/** Whether the store outlives the process. */
export function isKept(settings: StoreSettings): boolean {
  return settings.kind !== "sqlite" || settings.file !== IN_MEMORY;
}

/** The kind of the store in one word. */
export function kindOf(settings: StoreSettings): "memory" | "sqlite" | "postgres" {
  return isKept(settings) ? settings.kind : "memory";
}

/** The folder for secrets outside of the store, and the store's own files in it. */
export function filesOf(settings: StoreSettings): { folder: string; database: string[] } {
  if (settings.kind !== "sqlite") return { folder: "data", database: [] };
  return { folder: dirname(settings.file), database: ["", "-wal", "-shm"].map((end) => settings.file + end) };
}

/** The store's place for people and logs, without a password. */
export function placeOf(settings: StoreSettings): string {
  return settings.kind === "sqlite" ? settings.file : `postgres://${addressOf(settings.url)}`;
}

/** The host, port and database of a URL, without credentials. */
export function addressOf(url: string): string {
  if (!URL.canParse(url)) return "the given address";
  const { host, pathname } = new URL(url);
  return `${host || "localhost"}${pathname}`;
}

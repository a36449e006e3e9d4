import { DatabaseSync } from "node:sqlite";

/** Blocks all other writers of an SQLite file until `release`, like a slow disk. Readers continue. */
export function holdWrites(file: string): { release(): void } {
  const database = new DatabaseSync(file, { timeout: 5_000 });
  database.exec("BEGIN IMMEDIATE");
  return {
    release() {
      if (!database.isOpen) return;
      database.exec("ROLLBACK");
      database.close();
    },
  };
}

import { DatabaseSync } from "node:sqlite";

/** Keeps everybody else from writing to an SQLite file, as a slow disk would; readers go on. Ends with `release`. */
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

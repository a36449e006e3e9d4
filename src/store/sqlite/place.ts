import { statSync } from "node:fs";
import { codeOf, messageOf } from "./connections.ts";

/** The files of an open database. SQLite removes none of them while a connection is open. */
const FILES = ["", "-wal", "-shm"];
/** The minimum size of a database, bytes. */
const LEAST_PAGE = 512;
/** How long a check of the files is reused, milliseconds. */
const LOOK_MS = 100;

/** Identifies the files of a database by device and inode. */
export type Place = readonly string[];

/** The current files of an open database. */
export function placeOf(file: string): Place {
  return FILES.map((end) => {
    const found = statSync(file + end, { throwIfNoEntry: false });
    return found ? `${found.dev} ${found.ino}` : "";
  });
}

/**
 * Throws if the files were moved: writes would be lost, and another connection would create new files. It does not open
 * the file, because closing it again would drop this process's locks.
 */
export function checkPlace(file: string, place: Place): void {
  const now = placeOf(file);
  const missing = FILES.find((_, index) => now[index] !== place[index]);
  if (missing !== undefined) {
    throw new Error(`The file ${file}${missing} was moved, replaced or deleted. Put it back, or restart the server.`);
  }
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) < LEAST_PAGE) {
    throw new Error(`The file ${file} was emptied. Stop the server and restore the file from a backup.`);
  }
}

/** Like checkPlace, for frequent calls. */
export function createPlaceCheck(file: string, place: Place): () => void {
  let until = 0;
  return () => {
    if (performance.now() < until) return;
    checkPlace(file, place);
    until = performance.now() + LOOK_MS;
  };
}

/** Converts an error of node:sqlite to one that reports damaged pages, if it means that. */
export function toDamage(error: unknown, file: string): Error | undefined {
  const [SQLITE_CORRUPT, SQLITE_NOTADB] = [11, 26];
  const code = codeOf(error);
  if (code !== SQLITE_CORRUPT && code !== SQLITE_NOTADB) return undefined;
  const what = `The file ${file} is damaged (${messageOf(error)})`;
  return new Error(`${what}. Stop the server and restore the file from a backup.`);
}

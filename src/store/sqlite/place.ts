import { statSync } from "node:fs";
import { codeOf, messageOf } from "./connections.ts";

/** The files that make a database in use. While a connection is open, SQLite removes none of them. */
const FILES = ["", "-wal", "-shm"];
/** No database is shorter, bytes. */
const LEAST_PAGE = 512;
/** How long a look at the files is good for where many ask, milliseconds. */
const LOOK_MS = 100;

/** Which files a database is made of: their devices and inodes. */
export type Place = readonly string[];

/** The files as they are now, of a database that is in use. */
export function placeOf(file: string): Place {
  return FILES.map((end) => {
    const found = statSync(file + end, { throwIfNoEntry: false });
    return found ? `${found.dev} ${found.ino}` : "";
  });
}

/**
 * Throws if the files are no longer where they were: what is written would be lost, and another connection would make
 * new ones. Opening a file to look into it would take the locks of this process from it, so it is only looked at.
 */
export function checkPlace(file: string, place: Place): void {
  const now = placeOf(file);
  const missing = FILES.find((_, index) => now[index] !== place[index]);
  if (missing !== undefined) {
    throw new Error(`The file ${file}${missing} was moved, replaced or deleted: put it back, or restart the server.`);
  }
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) < LEAST_PAGE) {
    throw new Error(`The file ${file} was emptied: stop the server and restore the file from a backup.`);
  }
}

/** The same for who asks often. */
export function createPlaceCheck(file: string, place: Place): () => void {
  let until = 0;
  return () => {
    if (performance.now() < until) return;
    checkPlace(file, place);
    until = performance.now() + LOOK_MS;
  };
}

/** Says that pages of the file are damaged, if that is what the error of node:sqlite means. */
export function toDamage(error: unknown, file: string): Error | undefined {
  const [SQLITE_CORRUPT, SQLITE_NOTADB] = [11, 26];
  const code = codeOf(error);
  if (code !== SQLITE_CORRUPT && code !== SQLITE_NOTADB) return undefined;
  const what = `The file ${file} is damaged (${messageOf(error)})`;
  return new Error(`${what}: stop the server and restore the file from a backup.`);
}

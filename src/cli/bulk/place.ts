import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { systemError, UsageError } from "../frame/errors.ts";

/** How far a command has come: everything before is done. */
export interface Place {
  /** What the command is; another one must not go on from here. */
  command: string;
  /** Marks the calls of one command as its own. */
  run: string;
  /** How many pages are done, how many users were in them, and how many there are in all, if that is known. */
  page: number;
  done: number;
  total?: number | undefined;
  /** Of a list: a hash of the ids that are done. */
  hash: string;
  /** Of filters: where the next page begins. */
  cursor: string;
  changed: number;
  unchanged: number;
  /** How many have failed, by reason. */
  failed: Record<string, number>;
}

/** Keeps a place in a file, if one is named; the file is there as long as the command is not done. */
export function createPlaceKeeper(file: string | undefined, command: string) {
  return {
    /** Where to begin. Throws UsageError if the file is no place of this command. */
    load(): Place {
      if (file !== undefined && existsSync(file)) {
        const place = read(file);
        if (place.command === command) return place;
        throw new UsageError(
          `${file} is the place of another command: give the options, the server and the list that it began with, or name another file`,
        );
      }
      const run = randomBytes(12).toString("hex");
      return { command, run, page: 0, done: 0, hash: "", cursor: "", changed: 0, unchanged: 0, failed: {} };
    },
    /** Throws UsageError if the file cannot be written. */
    save(place: Place): void {
      if (file === undefined) return;
      const next = `${file}.${process.pid}.tmp`;
      try {
        // A reader finds the one place or the other, and nothing in between.
        writeFileSync(next, `${JSON.stringify(place)}\n`, { mode: 0o600, flush: true });
        renameSync(next, file);
      } catch (error) {
        throw new UsageError(`the place cannot be kept in ${file}: ${systemError(error)}`);
      }
    },
    forget(): void {
      if (file !== undefined) rmSync(file, { force: true });
    },
  };
}

function read(file: string): Place {
  try {
    const place = JSON.parse(readFileSync(file, "utf8")) as Place;
    if (typeof place.command === "string" && typeof place.run === "string" && Number.isInteger(place.page))
      return place;
  } catch (error) {
    if ((error as { code?: string }).code !== undefined) {
      throw new UsageError(`${file} cannot be read: ${systemError(error)}`);
    }
  }
  throw new UsageError(`${file} is no place to go on from: name another file for --resume`);
}

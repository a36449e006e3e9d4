import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { CommandFailed, EX_IOERR, systemError, UsageError } from "../frame/errors.ts";

/** The progress of a command. */
export interface Place {
  /** Fingerprint of the command. Another command must not resume here. */
  command: string;
  /** Prefix of the idempotency keys of this command. */
  run: string;
  /** Finished pages, the users in them, and all users if their number is known. */
  page: number;
  done: number;
  total?: number | undefined;
  /** For a list: a hash of the finished ids. */
  hash: string;
  /** For filters: the cursor of the next page. */
  cursor: string;
  changed: number;
  unchanged: number;
  /** Number of failures by reason. */
  failed: Record<string, number>;
}

/** Keeps the progress in a file, if one is named. The file exists until the command is done. */
export function createPlaceKeeper(file: string | undefined, command: string) {
  return {
    /** Loads the progress. Throws UsageError if the file is not one of this command. */
    load(): Place {
      if (file !== undefined && existsSync(file)) {
        const place = read(file);
        if (place.command === command) return place;
        throw new UsageError(
          `--resume: ${file} belongs to another command; use the same options, server and list, or name another file`,
        );
      }
      const run = randomBytes(12).toString("hex");
      return { command, run, page: 0, done: 0, hash: "", cursor: "", changed: 0, unchanged: 0, failed: {} };
    },
    /** Throws CommandFailed if the file cannot be written. */
    save(place: Place): void {
      if (file === undefined) return;
      const next = `${file}.${process.pid}.tmp`;
      try {
        // The rename is atomic, so a crash leaves the old or the new progress.
        writeFileSync(next, `${JSON.stringify(place)}\n`, { mode: 0o600, flush: true });
        renameSync(next, file);
      } catch (error) {
        throw new CommandFailed(`userlock: the place cannot be kept in ${file}: ${systemError(error)}`, EX_IOERR);
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
  throw new UsageError(`--resume: ${file} is not a file of an earlier run; name another one`);
}

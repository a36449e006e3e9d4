import { writeSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { isMainThread } from "node:worker_threads";

/**
 * Loaded before a program (node --import), in each thread. Writes the settings of every SQLite connection to stderr
 * when it commits and when it closes.
 */
export interface Report {
  moment: "commit" | "close";
  thread: "main" | "worker";
  journalMode: string;
  /** 2 is FULL (https://www.sqlite.org/pragma.html#pragma_synchronous). */
  synchronous: number;
}

const { exec, close } = DatabaseSync.prototype;

function report(connection: DatabaseSync, moment: Report["moment"]): void {
  const line: Report = {
    moment,
    thread: isMainThread ? "main" : "worker",
    journalMode: connection.prepare("PRAGMA journal_mode").get()?.journal_mode as string,
    synchronous: connection.prepare("PRAGMA synchronous").get()?.synchronous as number,
  };
  writeSync(2, `${JSON.stringify(line)}\n`);
}

DatabaseSync.prototype.exec = function (sql) {
  if (sql === "COMMIT") report(this, "commit");
  exec.call(this, sql);
};

DatabaseSync.prototype.close = function () {
  report(this, "close");
  close.call(this);
};

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { systemError, UsageError } from "../frame/errors.ts";
import { recordsIn } from "./csv.ts";

/** An id, and the number of its line if it is from a list. */
export interface Listed {
  id: string;
  line?: number;
}

/**
 * The ids of a text, one per line: the part before the first comma, semicolon or white space, or the part in quotes. Skips
 * empty lines and lines that begin with #. With a column, the text is a table with a header, and the ids are in that column.
 * Holds one piece of the text in memory. Throws UsageError.
 */
export async function* idsIn(text: AsyncIterable<string>, column?: string): AsyncGenerator<Listed> {
  if (column !== undefined) {
    yield* idsInColumn(text, column);
    return;
  }
  let line = 0;
  let rest = "";
  for await (const piece of text) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() as string;
    for (const one of lines) {
      const id = firstCell(one, ++line);
      if (id !== "") yield { id, line };
    }
  }
  const id = firstCell(rest, ++line);
  if (id !== "") yield { id, line };
}

function firstCell(text: string, line: number): string {
  const start = (line === 1 ? text.replace(/^\uFEFF/, "") : text).trimStart();
  if (start.startsWith("#")) return "";
  const [, quoted] = /^"((?:[^"]|"")*)"/.exec(start) ?? [];
  return quoted?.replaceAll('""', '"') ?? (start.split(/[,;\s]/, 1)[0] as string);
}

async function* idsInColumn(text: AsyncIterable<string>, column: string): AsyncGenerator<Listed> {
  let place: number | undefined;
  for await (const { cells, line } of recordsIn(text)) {
    if (place === undefined) {
      place = cells.indexOf(column);
      if (place < 0) throw new UsageError(`--column: the list has no column ${column}; it has ${cells.join(", ")}`);
    } else {
      const id = cells[place] ?? "";
      if (id !== "") yield { id, line };
    }
  }
}

/** The text of a file. Throws UsageError if it cannot be read. */
export async function* textOf(file: string): AsyncGenerator<string> {
  try {
    yield* createReadStream(file, { encoding: "utf8" });
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${systemError(error)}`);
  }
}

/** The number of ids in a file; undefined if it can be read only once. Throws UsageError if it cannot be read. */
export async function countIds(file: string, column?: string): Promise<number | undefined> {
  const isFile = await stat(file).then(
    (found) => found.isFile(),
    () => true,
  );
  if (!isFile) return undefined;
  let count = 0;
  for await (const _ of idsIn(textOf(file), column)) count++;
  return count;
}

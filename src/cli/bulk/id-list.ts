import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { UsageError } from "../frame/errors.ts";

/** An id of a list, and the number of its line. */
export interface Listed {
  id: string;
  line: number;
}

/**
 * The ids of a text, one a line: what comes before the first comma, semicolon or white space, quoted or not, so that
 * the first column of a table will do. Empty lines and lines that begin with # are passed over. It holds no more than
 * one piece of the text at a time.
 */
export async function* idsIn(text: AsyncIterable<string>): AsyncGenerator<Listed> {
  let line = 0;
  let rest = "";
  for await (const piece of text) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() as string;
    for (const one of lines) {
      const id = firstColumn(one, ++line);
      if (id !== "") yield { id, line };
    }
  }
  const id = firstColumn(rest, ++line);
  if (id !== "") yield { id, line };
}

function firstColumn(text: string, line: number): string {
  const start = (line === 1 ? text.replace(/^\uFEFF/, "") : text).trimStart();
  if (start.startsWith("#")) return "";
  return (start.split(/[,;\s]/, 1)[0] as string).replace(/^"(.*)"$/, "$1");
}

/** The text of a file. Throws UsageError if it cannot be read. */
export async function* textOf(file: string): AsyncGenerator<string> {
  try {
    yield* createReadStream(file, { encoding: "utf8" });
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${(error as Error).message}`);
  }
}

/** How many ids are in a file; undefined if it can be read only once. Throws UsageError if it cannot be read. */
export async function countIds(file: string): Promise<number | undefined> {
  const isFile = await stat(file).then(
    (found) => found.isFile(),
    () => true,
  );
  if (!isFile) return undefined;
  let count = 0;
  for await (const _ of idsIn(textOf(file))) count++;
  return count;
}

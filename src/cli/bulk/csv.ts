import { UsageError } from "../frame/errors.ts";

/** A record of a table, and the number of its first line. */
export interface CsvRecord {
  cells: string[];
  line: number;
}

/** The longest record, characters. A longer one has an unclosed quote. */
const LONGEST = 1_048_576;

/**
 * Reads the records of a table (RFC 4180), with its head. The separator is the comma, semicolon or tab: whichever the head
 * has most of. Skips empty lines. Holds one piece of the text and one record in memory. Throws UsageError for an unclosed
 * quote.
 */
export async function* recordsIn(text: AsyncIterable<string>): AsyncGenerator<CsvRecord> {
  let separator: string | undefined;
  let rest = "";
  let line = 1;
  let isFirst = true;
  function* take(isLast: boolean): Generator<CsvRecord> {
    for (let end = endOf(rest, isLast); end !== undefined; end = endOf(rest, isLast)) {
      const record = rest.slice(0, end);
      rest = rest.slice(end + 1);
      const plain = record.replace(/\r$/, "");
      separator ??= separatorOf(plain);
      if (plain.trim() !== "") yield { cells: cellsOf(plain, separator, line), line };
      line += record.split("\n").length;
      if (isLast && rest === "") return;
    }
    if (rest.length > LONGEST) throw unclosed(line);
  }
  for await (const piece of text) {
    rest += isFirst ? piece.replace(/^\uFEFF/, "") : piece;
    isFirst &&= piece === "";
    yield* take(false);
  }
  if (rest !== "") yield* take(true);
}

/** The end of the first record: a line break outside of quotes, or the end of the text. */
function endOf(text: string, isLast: boolean): number | undefined {
  let isQuoted = false;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '"') isQuoted = !isQuoted;
    else if (text[at] === "\n" && !isQuoted) return at;
  }
  return isLast && text !== "" ? text.length : undefined;
}

function separatorOf(head: string): string {
  const plain = head.replaceAll(/"[^"]*"/g, "");
  const [most] = [",", ";", "\t"].sort((a, b) => plain.split(b).length - plain.split(a).length);
  return most as string;
}

function cellsOf(record: string, separator: string, line: number): string[] {
  const cells: string[] = [];
  for (let at = 0; ; ) {
    let end = record.indexOf(separator, at);
    if (end < 0) end = record.length;
    if (record[at] === '"') {
      const quoted = /"((?:[^"]|"")*)"/y;
      quoted.lastIndex = at;
      const [all, cell] = quoted.exec(record) ?? [];
      if (all === undefined || cell === undefined) throw unclosed(line);
      cells.push(cell.replaceAll('""', '"'));
      end = at + all.length;
      if (end < record.length && record[end] !== separator) {
        throw new UsageError(`line ${line}: a quoted value is followed by other text`);
      }
    } else {
      cells.push(record.slice(at, end).trim());
    }
    if (end === record.length) return cells;
    at = end + 1;
  }
}

function unclosed(line: number): UsageError {
  return new UsageError(`line ${line}: a quote is opened and not closed`);
}

/** A value as a cell for `idsIn` and `recordsIn`, quoted if necessary. */
export function quotedIfNeeded(text: string): string {
  return /[\s,;"]|^#/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

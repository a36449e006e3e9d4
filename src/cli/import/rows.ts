import { recordsIn } from "../bulk/csv.ts";
import { UsageError } from "../frame/errors.ts";

/** A user of a file: values by the names of the columns, and the number of the line. */
export interface Row {
  line: number;
  values: Map<string, unknown>;
}

/** Formats of a file. */
export const FORMATS = ["csv", "ndjson"] as const;
export type Format = (typeof FORMATS)[number];

/** The format by the end of the file's name: NDJSON for .ndjson and .jsonl, else CSV. */
export function formatOf(file: string): Format {
  return /\.(ndjson|jsonl)$/i.test(file) ? "ndjson" : "csv";
}

/** Reads the rows of a file. Throws UsageError if the text is not in the format. */
export function rowsIn(text: AsyncIterable<string>, format: Format): AsyncGenerator<Row> {
  return format === "csv" ? rowsOfTable(text) : rowsOfJson(text);
}

async function* rowsOfTable(text: AsyncIterable<string>): AsyncGenerator<Row> {
  let head: string[] | undefined;
  for await (const { cells, line } of recordsIn(text)) {
    if (head === undefined) {
      const twice = cells.find((name, index) => cells.indexOf(name) !== index);
      if (twice !== undefined) throw new UsageError(`the header has the column ${twice} twice`);
      head = cells;
      continue;
    }
    if (cells.length > head.length) {
      throw new UsageError(`line ${line}: there are ${cells.length} values and ${head.length} columns`);
    }
    yield { line, values: new Map(head.map((name, index) => [name, cells[index] ?? ""])) };
  }
}

async function* rowsOfJson(text: AsyncIterable<string>): AsyncGenerator<Row> {
  let line = 0;
  let rest = "";
  const rowOf = (json: string): Row[] => {
    line++;
    if (json.trim() === "") return [];
    let value: unknown;
    try {
      value = JSON.parse(json);
    } catch {
      // Refused below, like JSON that is not an object.
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new UsageError(`line ${line}: must be a JSON object`);
    }
    return [{ line, values: new Map(Object.entries(value)) }];
  };
  for await (const piece of text) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() as string;
    yield* lines.flatMap(rowOf);
  }
  yield* rowOf(rest);
}

import { type DescMessage, type MessageShape, toJsonString } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import type { Surroundings } from "./frame/command.ts";
import { word } from "./frame/options.ts";
import { printable, printableJson } from "./frame/printable.ts";
import { boldOn } from "./frame/run.ts";

/** The option of every command that prints data. */
export const OUTPUT = { output: word("FORMAT", "table, or json: one object per line", ["table", "json"]) };

/** How data is printed; a table if it is undefined. */
export type Format = "table" | "json" | undefined;

/** A column of a table: its head, and the cell of a row. */
export type Column<Row> = [head: string, cell: (row: Row) => string];

/** Prints messages page by page: as the API's JSON, one per line, or as a table with a header. */
export function createListing<Schema extends DescMessage>(
  schema: Schema,
  columns: Column<MessageShape<Schema>>[],
  format: Format,
  around: Pick<Surroundings, "stdout" | "env">,
): { print(messages: MessageShape<Schema>[]): void } {
  if (format === "json") {
    return {
      print: (messages) =>
        void around.stdout.write(
          messages.map((message) => `${printableJson(toJsonString(schema, message))}\n`).join(""),
        ),
    };
  }
  const table = createTable(
    columns.map(([head]) => head),
    around,
  );
  return { print: (messages) => table.print(messages.map((message) => columns.map(([, cell]) => cell(message)))) };
}

/** Prints rows of cells: in columns on a terminal, with tabs between cells elsewhere. The head is printed at once. */
export function createTable(
  heads: string[],
  { stdout, env }: Pick<Surroundings, "stdout" | "env">,
): { print(rows: string[][]): void } {
  const bold = boldOn(stdout, env);
  let widths = heads.map(() => 0);
  let isHeadPrinted = false;
  const line = (cells: string[]) =>
    stdout.isTTY
      ? cells
          .map((cell, index) => cell.padEnd(widths[index] as number))
          .join("  ")
          .trimEnd()
      : cells.join("\t");
  return {
    print(rows) {
      const clean = rows.map((cells) => cells.map(printable));
      const toMeasure = isHeadPrinted ? clean : [heads, ...clean];
      widths = widths.map((width, index) => Math.max(width, ...toMeasure.map((cells) => cells[index]?.length ?? 0)));
      const lines = clean.map(line);
      if (!isHeadPrinted) lines.unshift(bold(line(heads)));
      isHeadPrinted = true;
      stdout.write(lines.map((one) => `${one}\n`).join(""));
    },
  };
}

/** Prints one line of JSON that cannot steer the terminal. */
export function printJson(json: string, { stdout }: Pick<Surroundings, "stdout">): void {
  stdout.write(`${printableJson(json)}\n`);
}

/** Prints facts of one thing, a line each; facts without a value are left out. */
export function printFacts(
  facts: [name: string, value: string | undefined][],
  { stdout, env }: Pick<Surroundings, "stdout" | "env">,
): void {
  const bold = boldOn(stdout, env);
  const width = Math.max(...facts.map(([name]) => name.length));
  const lines = facts
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([name, value]) => `${bold(name.padEnd(width))}  ${printable(value as string)}\n`);
  stdout.write(lines.join(""));
}

/** The value of an enumeration as words, such as `password failures`. */
export function wordOf(localName: string | undefined): string {
  return (localName ?? "unknown").toLowerCase().replaceAll("_", " ");
}

/** Such as `2030-01-31T12:00:00.000Z`; empty without a time. */
export function timeOf(time: Timestamp | undefined): string {
  return time === undefined ? "" : timestampDate(time).toISOString();
}

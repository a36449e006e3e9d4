import { type Command, type Group, isGroup } from "./command.ts";
import type { Option } from "./options.ts";

/** Makes text bold where it is shown on a terminal. */
export type Bold = (text: string) => string;

const HELP: [left: string, right: string] = ["-h, --help", "show this"];

/** The help of a command. `path` is what calls it, such as `userlock user list`. */
export function helpOfCommand(path: string, { summary, argument, options, example }: Command, bold: Bold): string {
  const entries = Object.entries(options);
  const rows = entries.map(([name, option]): [string, string] => [termOf(name, option), option.summary]);
  const needed = entries.filter(([, { given }]) => given === "required").map(([name, option]) => termOf(name, option));
  return [
    `${summary}.`,
    "",
    `${bold("Usage:")} ${[path, ...needed, argument, entries.length > needed.length && "[options]"].filter(Boolean).join(" ")}`,
    "",
    bold("Options:"),
    ...columns([...rows, HELP]),
    "",
    bold("Example:"),
    `  ${path.split(" ")[0]} ${example}`,
    "",
  ].join("\n");
}

/** The help of a group: a line for each command. `more` is what follows them. */
export function helpOfGroup(path: string, { summary, commands }: Group, bold: Bold, more = ""): string {
  const rows = Object.entries(commands).map(([name, node]): [string, string] => [
    isGroup(node) ? `${name} …` : [name, node.argument].filter(Boolean).join(" "),
    isGroup(node) ? `${node.summary}: ${Object.keys(node.commands).join(", ")}` : node.summary,
  ]);
  return [
    `${summary}.`,
    "",
    `${bold("Usage:")} ${path} COMMAND [options]`,
    "",
    bold("Commands:"),
    ...columns(rows),
    "",
    more,
    `${path} COMMAND --help shows the options of a command, with an example.`,
    "",
  ]
    .filter((line, index, lines) => line !== "" || lines[index - 1] !== "")
    .join("\n");
}

/** How an option is written, such as `--reason CODE`. */
export function termOf(name: string, { value, given }: Option): string {
  return `--${name}${value === undefined ? "" : ` ${value}`}${given === "many" ? " …" : ""}`;
}

function columns(rows: [string, string][]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}

import { type Command, type Group, isGroup } from "./command.ts";
import type { Option } from "./options.ts";

/** Makes text bold where it is shown on a terminal. */
export type Bold = (text: string) => string;

const HELP: [left: string, right: string] = ["-h, --help", "show this"];

/** The usage of a command with its required options, such as `userlock user show ID`. */
export function usageOf(path: string, { argument, options }: Command): string {
  const needed = Object.entries(options).filter(([, { given }]) => given === "required");
  return [path, ...needed.map(([name, option]) => termOf(name, option)), argument].filter(Boolean).join(" ");
}

/** The help of a command. `path` is what calls it, such as `userlock user list`. */
export function helpOfCommand(path: string, command: Command, bold: Bold): string {
  const { summary, options, example } = command;
  const rows = Object.entries(options).map(([name, option]): [string, string] => [
    termOf(name, option),
    option.summary,
  ]);
  const isAllNeeded = Object.values(options).every(({ given }) => given === "required");
  return [
    `${summary}.`,
    "",
    `${bold("Usage:")} ${usageOf(path, command)}${isAllNeeded ? "" : " [options]"}`,
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
export function helpOfGroup(path: string, { summary, commands, default: meant }: Group, bold: Bold, more = ""): string {
  const argument = meant === undefined ? undefined : (commands[meant] as Command).argument;
  const rows = Object.entries(commands).map(([name, node]): [string, string] => [
    isGroup(node) ? `${name} …` : [name, node.argument].filter(Boolean).join(" "),
    isGroup(node) ? `${node.summary}: ${Object.keys(node.commands).join(", ")}` : node.summary,
  ]);
  return [
    `${summary}.`,
    "",
    `${bold("Usage:")} ${path} ${meant === undefined ? "COMMAND" : "[COMMAND]"} [options]`,
    "",
    bold("Commands:"),
    ...columns(rows),
    "",
    more,
    ...(meant === undefined ? [] : [`Without COMMAND it is ${meant}: ${[path, argument].filter(Boolean).join(" ")}`]),
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

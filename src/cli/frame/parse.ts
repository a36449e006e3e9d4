import { parseArgs } from "node:util";
import type { Command } from "./command.ts";
import { UsageError } from "./errors.ts";
import { suggestion } from "./nearest.ts";
import type { Option } from "./options.ts";

/** Values of options by name, and the other arguments. */
export interface Parsed {
  values: Record<string, unknown>;
  args: string[];
}

/** An option as `parseArgs` found it. */
interface Token {
  name: string;
  value?: string | undefined;
  inlineValue?: boolean | undefined;
}

/** Whether -h or --help comes before `--`. */
export function wantsHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return (end < 0 ? args : args.slice(0, end)).some((arg) => arg === "-h" || arg === "--help");
}

/** Reads the arguments of a command. Throws UsageError. */
export function parse({ options, argument }: Pick<Command, "options" | "argument">, argv: string[]): Parsed {
  const known = new Map(Object.entries(options));
  const { tokens } = parseArgs({
    args: argv,
    strict: false,
    tokens: true,
    options: Object.fromEntries(
      Object.entries(options).map(([name, { value }]) => [name, { type: value === undefined ? "boolean" : "string" }]),
    ),
  });
  const given = new Map<string, unknown[]>();
  const args: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") args.push(token.value);
    if (token.kind !== "option") continue;
    const option = known.get(token.name);
    if (!option || !token.rawName.startsWith("--")) {
      const names = [...known.keys()].map((name) => `--${name}`);
      throw new UsageError(`there is no option ${token.rawName}${suggestion(token.rawName, names)}`);
    }
    given.set(token.name, [...(given.get(token.name) ?? []), readValue(token, option)]);
  }

  const values: Record<string, unknown> = {};
  for (const [name, option] of known) {
    const [first, ...more] = given.get(name) ?? [];
    if (option.given === "many") values[name] = given.get(name) ?? [];
    else if (more.length > 0) throw new UsageError(`--${name} is given ${more.length + 1} times; give it once`);
    else values[name] = first;
    if (option.given === "required" && first === undefined) {
      throw new UsageError(`--${name} is missing: ${option.summary}`);
    }
  }
  checkArguments(argument, args);
  return { values, args };
}

function readValue({ name, value, inlineValue }: Token, option: Option): unknown {
  if (option.value === undefined) {
    if (value !== undefined) throw new UsageError(`--${name} takes no value`);
    return option.parse("");
  }
  // A value that looks like an option may be one. After = it is certainly a value.
  if (value === undefined || (!inlineValue && /^-./.test(value))) {
    throw new UsageError(`--${name} needs a value: --${name} ${option.value}`);
  }
  try {
    return option.parse(value);
  } catch (error) {
    throw new UsageError(`--${name} ${(error as Error).message}`);
  }
}

function checkArguments(argument: string | undefined, args: string[]): void {
  if (argument === undefined) {
    if (args.length > 0) throw new UsageError(`takes no arguments: ${args.join(" ")}`);
    return;
  }
  if (args.includes("")) throw new UsageError(`${argument} is empty`);
  if (args.length === 0 && !argument.startsWith("[")) throw new UsageError(`${argument} is missing`);
  if (args.length > 1 && !argument.includes("…")) throw new UsageError(`takes one ${argument}, not ${args.length}`);
}

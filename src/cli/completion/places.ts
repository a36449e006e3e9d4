import { type Command, type Group, isGroup } from "../frame/command.ts";
import type { Option } from "../frame/options.ts";

/** A point of a command line, and what can follow there. */
export interface Place {
  /** The words that lead there, such as `user` and `list`; none at the start. */
  words: string[];
  /** The words that lead on from here. */
  commands: { name: string; summary: string }[];
  /** The command that is meant if the next word names none. */
  default: string | undefined;
  options: PlaceOption[];
  /** The name and the kind of an argument; undefined for a command without arguments. */
  argument: { name: string; kind: "text" | "file" } | undefined;
}

/** An option, with its dashes, and what its value can be. */
export interface PlaceOption {
  name: string;
  summary: string;
  /** Undefined for a flag. */
  value:
    | { name: string; kind: "text" | "file" }
    | { name: string; kind: "words"; words: readonly string[] }
    | undefined;
  isMany: boolean;
}

const HELP: PlaceOption = { name: "--help", summary: "show the help", value: undefined, isMany: false };
const VERSION: PlaceOption = { name: "--version", summary: "show the version", value: undefined, isMany: false };

/** All places of a command line, each before those below it. */
export function placesOf(node: Group | Command, words: string[] = []): Place[] {
  if (!isGroup(node)) {
    const argument = node.argument?.replace(/[[\]…]/g, "");
    const options = [...optionsOf(node), HELP];
    return [{ words, commands: [], default: undefined, options, argument: argument ? kindOf(argument) : undefined }];
  }
  const below = Object.entries(node.commands);
  const commands = below.map(([name, { summary }]) => ({ name, summary }));
  const meant = node.default === undefined ? undefined : node.commands[node.default];
  const options = [...(meant && !isGroup(meant) ? optionsOf(meant) : []), HELP, VERSION];
  const here = { words, commands, default: node.default, options, argument: undefined };
  return [here, ...below.flatMap(([name, one]) => placesOf(one, [...words, name]))];
}

function optionsOf({ options }: Command): PlaceOption[] {
  return Object.entries(options).map(([name, option]) => optionOf(name, option));
}

function optionOf(name: string, { summary, value, words, given }: Option): PlaceOption {
  const known =
    value === undefined ? undefined : words ? { name: value, kind: "words" as const, words } : kindOf(value);
  return { name: `--${name}`, summary, value: known, isMany: given === "many" };
}

function kindOf(name: string): { name: string; kind: "text" | "file" } {
  return { name, kind: name === "FILE" ? "file" : "text" };
}

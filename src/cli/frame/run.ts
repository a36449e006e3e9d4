import { styleText } from "node:util";
import { VERSION } from "../../version.ts";
import { type Command, type Environment, type Group, isGroup, type Screen, type Surroundings } from "./command.ts";
import {
  CommandFailed,
  EX_INTERRUPTED,
  EX_IOERR,
  EX_OK,
  EX_REFUSED,
  EX_USAGE,
  systemError,
  UsageError,
} from "./errors.ts";
import { helpOfCommand, helpOfGroup } from "./help.ts";
import { suggestion } from "./nearest.ts";
import { parse, wantsHelp } from "./parse.ts";
import { printable, printableLines } from "./printable.ts";

const PROGRAM = "userlock";
/** The options of every group. */
const GROUP_OPTIONS = ["-h", "--help", "--version"];

/** The message to print for an error, and the exit code. */
export type Explain = (error: unknown) => { message: string; exitCode: number };

/** Makes text bold if the screen is a terminal that shows colours. */
export function boldOn(screen: Screen, { NO_COLOR, TERM }: Environment): (text: string) => string {
  const isPlain = !screen.isTTY || !!NO_COLOR || TERM === "dumb";
  return (text) => (isPlain ? text : styleText("bold", text, { validateStream: false }));
}

/** Runs the command that the arguments name. Resolves with the exit code; errors are printed on stderr. */
export async function runCommandLine(
  root: Group,
  args: string[],
  around: Surroundings,
  { explain, epilogue }: { explain: Explain; epilogue: string },
): Promise<number> {
  const asksHelp = args[0] === "help";
  const { path, node, rest } = find(root, asksHelp ? args.slice(1) : args);
  const help = (screen: Screen) => {
    const bold = boldOn(screen, around.env);
    const isRoot = node === root;
    screen.write(
      isGroup(node) ? helpOfGroup(path, node, bold, isRoot ? epilogue : "") : helpOfCommand(path, node, bold),
    );
  };
  const misused = (why: string) => {
    around.stderr.write(`${path}: ${printable(why)}\n${path} --help shows how it is used.\n`);
    return EX_USAGE;
  };

  if (wantsHelp(rest) || (asksHelp && rest.length === 0)) {
    return printed(() => help(around.stdout), around);
  }
  if (rest[0] === "--version" && (isGroup(node) || rest.length === 1)) {
    return printed(() => around.stdout.write(`${PROGRAM} ${VERSION}\n`), around);
  }
  if (isGroup(node)) {
    const [word] = rest;
    const names = Object.keys(node.commands);
    if (word === undefined) return misused(`a command is missing: ${names.join(", ")}`);
    if (word.startsWith("-")) return misused(`there is no option ${word}`);
    return misused(`there is no command ${word}${suggestion(word, names) || `: use ${names.join(", ")}`}`);
  }
  if (asksHelp) return misused(`there is no command ${rest[0]}`);

  try {
    const { values, args: positionals } = parse(node, rest);
    return await untilOutputEnds(!!node.outlivesOutput, () => node.run(values as never, positionals, around), around);
  } catch (error) {
    if (error instanceof UsageError) return misused(error.message);
    const { message, exitCode } = error instanceof CommandFailed ? error : explain(error);
    around.stderr.write(
      error instanceof CommandFailed ? `${printableLines(message)}\n` : `${PROGRAM}: ${printable(message)}\n`,
    );
    return exitCode;
  }
}

/** Finds the group or command that the first words name. `rest` is the words after them. */
function find(root: Group, args: string[]): { path: string; node: Group | Command; rest: string[] } {
  const words = [PROGRAM];
  let node: Group | Command = root;
  let rest = args;
  while (isGroup(node)) {
    const [word] = rest;
    const name: string | undefined = word !== undefined && Object.hasOwn(node.commands, word) ? word : undefined;
    if (name === undefined) {
      if (node.default === undefined || word === undefined || GROUP_OPTIONS.includes(word)) break;
      node = node.commands[node.default] as Command;
      break;
    }
    words.push(name);
    node = node.commands[name] as Group | Command;
    rest = rest.slice(1);
  }
  return { path: words.join(" "), node, rest };
}

async function printed(print: () => void, around: Surroundings): Promise<number> {
  print();
  return untilOutputEnds(true, async () => EX_OK, around);
}

/**
 * The exit code of the work. When the reader of stdout goes away, stops waiting for the work unless it outlives its output.
 * Output that cannot be written is an error.
 */
async function untilOutputEnds(
  outlives: boolean,
  work: () => Promise<number>,
  { outputEnded, flush, stderr }: Surroundings,
): Promise<number> {
  const ended = Promise.withResolvers<number>();
  const onEnd = () => ended.resolve(EX_OK);
  if (!outlives) outputEnded.addEventListener("abort", onEnd);
  try {
    const code = await Promise.race([ended.promise, work()]);
    await flush();
    const { code: why } = (outputEnded.reason ?? {}) as { code?: string };
    if (!outputEnded.aborted || why === "EPIPE") return code;
    stderr.write(`${PROGRAM}: the output cannot be written: ${systemError(outputEnded.reason)}\n`);
    return EX_IOERR;
  } finally {
    outputEnded.removeEventListener("abort", onEnd);
  }
}

/** Asks a question on a terminal. Throws CommandFailed unless the answer is yes. Elsewhere asks nothing. */
export async function confirm(
  question: string,
  { isInteractive, stdin, stderr }: Pick<Surroundings, "isInteractive" | "stdin" | "stderr">,
  stop?: AbortSignal,
): Promise<void> {
  if (!isInteractive) return;
  stderr.write(`${printable(question)} [y/N] `);
  const stopped = new Promise<undefined>((resolve) => stop?.addEventListener("abort", () => resolve(undefined)));
  const answer = await Promise.race([firstLine(stdin()), stopped]);
  if (answer !== undefined && /^\s*y(es)?\s*$/i.test(answer)) return;
  const prefix = stop?.aborted ? "\n" : "";
  throw new CommandFailed(`${prefix}Nothing was changed.`, stop?.aborted ? EX_INTERRUPTED : EX_REFUSED);
}

async function firstLine(texts: AsyncIterable<string>): Promise<string> {
  for await (const text of texts) return text.split("\n")[0] as string;
  return "";
}

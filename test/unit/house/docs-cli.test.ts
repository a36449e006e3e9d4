// Proves that the page about the command line has all commands and exit codes, and that all commands are run.
import { COMMANDS } from "../../../src/cli/commands.ts";
import { type Command, type Group, isGroup } from "../../../src/cli/frame/command.ts";
import * as codes from "../../../src/cli/frame/errors.ts";
import { usageOf } from "../../../src/cli/frame/help.ts";
import { FIELDS } from "../../../src/cli/import/fields.ts";
import { blocks, DOCUMENTATION, rows } from "../../support/docs.ts";

/** All commands, with the words that call them. */
function all(node: Group | Command, path = "userlock"): [path: string, command: Command][] {
  if (!isGroup(node)) return [[path, node]];
  return Object.entries(node.commands).flatMap(([name, one]) => all(one, `${path} ${name}`));
}

test("The table of commands has each command with its summary", () => {
  const expected = all(COMMANDS).map(([path, command]) => [`\`${usageOf(path, command)}\``, command.summary]);
  expect(rows("Commands").slice(1)).toEqual(expected);
});

test("The table of exit codes has each code of the command line", () => {
  const expected = Object.entries(codes).flatMap(([name, code]) => (name.startsWith("EX_") ? [String(code)] : []));
  const written = rows("Output and exit codes").slice(1);
  const byValue = (a: string, b: string) => Number(a) - Number(b);
  expect(written.map(([code]) => code)).toEqual(expected.sort(byValue));
});

test("Each command is run by a block of the documentation, except serve, demo and second names", () => {
  const code = blocks("sh")
    .map((block) => block.code.replaceAll("npm run -s userlock --", "userlock"))
    .join("\n");
  const missing = all(COMMANDS).filter(([path]) => !new RegExp(`${path}(?![\\w-])`).test(code));
  expect(missing.map(([path]) => path)).toEqual([
    "userlock user lock",
    "userlock user unlock",
    "userlock sessions list",
    "userlock serve",
    "userlock demo",
  ]);
});

test("The page about the command line names each field of an import", () => {
  const missing = FIELDS.filter((field) => field !== "data" && !DOCUMENTATION.includes(`\`${field}\``));
  expect(missing).toEqual([]);
});

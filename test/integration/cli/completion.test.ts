// Proves that the completion scripts know every command and option.
import { writeFileSync } from "node:fs";
import { COMMANDS } from "../../../src/cli/commands.ts";
import { type Command, type Group, isGroup } from "../../../src/cli/frame/command.ts";
import { runCommand } from "../../support/servers/command.ts";
import { runUserlock } from "../../support/servers/run-userlock.ts";
import { temporaryFolder } from "../../support/servers/server-process.ts";

const folder = temporaryFolder();
afterAll(folder.remove);

/** Every path of commands, with what may follow it. */
function expected(node: Group | Command, path: string[] = []): [path: string[], words: string[]][] {
  if (!isGroup(node)) return [[path, [...Object.keys(node.options).map((name) => `--${name}`), "--help"]]];
  const below = Object.entries(node.commands).flatMap(([name, one]) => expected(one, [...path, name]));
  return [[path, [...Object.keys(node.commands), "--help"]], ...below];
}

/** What bash offers after each line of words. */
async function offered(lines: string[][]): Promise<string[][]> {
  const script = folder.file("userlock.bash");
  writeFileSync(script, (await runUserlock(["completion", "bash"])).stdout);
  const words = `words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _userlock; echo "\${COMPREPLY[*]}"; }`;
  const calls = lines.map((line) => `words userlock ${line.map((word) => `'${word}'`).join(" ")}`);
  const { code, stdout, stderr } = await runCommand("bash", ["-c", [`source ${script}`, words, ...calls].join("\n")]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout
    .split("\n")
    .slice(0, -1)
    .map((line) => line.split(" "));
}

test("bash offers the commands of each group and the options of each command", async () => {
  const cases = expected(COMMANDS);
  const dashed = cases.map(([path, words]): [string[], string[]] => [
    [...path, "--"],
    words.filter((word) => word.startsWith("--")),
  ]);
  const groups = cases
    .filter(([, words]) => words.length > 1 && !words[0]?.startsWith("--"))
    .map(([path, words]): [string[], string[]] => [[...path, ""], words]);
  const all = [...dashed, ...groups];
  const answers = await offered(all.map(([line]) => line));
  expect(answers.map((answer, index) => [all[index]?.[0], answer])).toEqual(all);
});

test("bash offers the beginning of a word, the words of an option, and options after an argument", async () => {
  expect(
    await offered([
      ["lo"],
      ["token", "create", "--role", "ORG_U"],
      ["lock", "ann", "--dr"],
      ["lock", "--ids", "tsconf"],
    ]),
  ).toEqual([["lock"], ["ORG_USER_MANAGER"], ["--dry-run"], ["tsconfig.json"]]);
});

test.each(["bash", "zsh", "fish"])("the script of %s has every command", async (shell) => {
  const { code, stdout } = await runUserlock(["completion", shell]);
  expect(code).toBe(0);
  for (const [path] of expected(COMMANDS)) expect(stdout).toContain(path.map((word) => ` ${word}`).join(""));
});

test("another shell is refused with the names of the three", async () => {
  const { code, stderr } = await runUserlock(["completion", "tcsh"]);
  expect(code).toBe(64);
  expect(stderr).toContain("SHELL must be one of bash, zsh, fish, not tcsh");
});

// Proves that the completion scripts offer all commands, options and values in real shells.
import { writeFileSync } from "node:fs";
import { COMMANDS } from "../../../src/cli/commands.ts";
import { type Command, type Group, isGroup } from "../../../src/cli/frame/command.ts";
import { runCommand } from "../../support/servers/command.ts";
import { runUserlock } from "../../support/servers/run-userlock.ts";
import { temporaryFolder } from "../../support/servers/server-process.ts";

const folder = temporaryFolder();
beforeAll(async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const { code, stdout, stderr } = await runUserlock(["completion", shell]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    writeFileSync(folder.file(shell), stdout);
  }
  writeFileSync(folder.file("a list.txt"), "");
});
afterAll(() => folder.remove());

/** All groups and commands, with the words that call them. */
function all(node: Group | Command, words: string[] = []): [words: string[], node: Group | Command][] {
  const below = isGroup(node) ? Object.entries(node.commands) : [];
  return [[words, node], ...below.flatMap(([name, one]) => all(one, [...words, name]))];
}

/** The options of a command, or of the command that a group stands for. */
function namesOf(node: Group | Command): string[] {
  if (!isGroup(node)) return Object.keys(node.options).map((name) => `--${name}`);
  return node.default === undefined ? [] : namesOf(node.commands[node.default] as Command);
}

/** For each command line, its last word and what may stand there. An option ends in its dashes and name. */
function offersOfAll(): [words: string[], offers: string[]][] {
  return all(COMMANDS).flatMap(([words, node]): [string[], string[]][] => {
    if (isGroup(node)) {
      return [
        [[...words, ""], Object.keys(node.commands)],
        [
          [...words, "--"],
          [...namesOf(node), "--help", "--version"],
        ],
      ];
    }
    const values = Object.entries(node.options).flatMap(([name, option]): [string[], string[]][] =>
      option.words ? [[[...words, `--${name}`, ""], [...option.words]]] : [],
    );
    return [
      [
        [...words, "--"],
        [...Object.keys(node.options).map((name) => `--${name}`), "--help"],
      ],
      ...values,
    ];
  });
}

/** What bash offers for the last word of each command line. Bash has split the words already. */
async function inBash(lines: string[][]): Promise<string[][]> {
  const calls = lines.map((words) => {
    const quoted = ["userlock", ...words].map((word) => `'${word}'`).join(" ");
    return `COMP_WORDS=(${quoted}); COMP_CWORD=${words.length}; _userlock; printf '%s\\n' "\${COMPREPLY[@]}" .`;
  });
  const script = [`source ${folder.file("bash")}`, ...calls].join("\n");
  const { code, stdout, stderr } = await runCommand("bash", ["--norc", "-uc", script]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout
    .split(/^\.\n/m)
    .slice(0, -1)
    .map((block) => block.split("\n").filter((line) => line !== ""));
}

/** What fish offers at the end of each command line. */
async function inFish(lines: string[][]): Promise<string[][]> {
  const calls = lines.map((words) => `complete -C 'userlock ${words.join(" ")}'; echo .`);
  const script = [`source ${folder.file("fish")}`, ...calls].join("\n");
  const { code, stdout, stderr } = await runCommand("fish", ["--no-config", "-c", script]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout
    .split(/^\.\n/m)
    .slice(0, -1)
    .map((block) =>
      block
        .split("\n")
        .flatMap((line) => line.split("\t").slice(0, 1))
        .filter(Boolean),
    );
}

const SHELLS = [["bash", inBash] as const, ["fish", inFish] as const];

describe.each(SHELLS)("completion in %s", (shell, complete) => {
  test("offers every command, option and value of the command line", async () => {
    const expected = offersOfAll();
    const found = await complete(expected.map(([words]) => words));
    const asSets = (offers: string[][]) => offers.map((one) => one.toSorted());
    expect(asSets(found)).toEqual(asSets(expected.map(([, offers]) => offers)));
  });

  test.each<[why: string, words: string[], offers: string[]]>([
    ["the rest of a word", ["user", "cr"], ["create"]],
    ["nothing after an unknown command", ["freeze", ""], []],
    ["nothing for a free text", ["lock", "--reason", ""], []],
    ["nothing for an id", ["user", "show", ""], []],
    ["options after an argument", ["lock", "alice", "--dr"], ["--dry-run"]],
    ["options when an argument is the name of a command", ["lock", "user", "--dr"], ["--dry-run"]],
    ["options of the default command of a group", ["sessions", "alice", "--out"], ["--output"]],
    ["values of an option right after a group", ["sessions", "--output", "j"], ["json"]],
    ["values of the default command of a group", ["sessions", "alice", "--output", "j"], ["json"]],
  ])("offers %s", async (_why, words, offers) => {
    expect(await complete([words])).toEqual([offers]);
  });

  test.each([
    ["an option", ["lock", "--ids"]],
    ["an argument", ["user", "import"]],
  ])("offers files for %s that takes one", async (_what, words) => {
    const [found] = await complete([[...words, folder.file("a")]]);
    expect(found?.map((file) => file.replace("\\ ", " "))).toEqual([folder.file("a list.txt")]);
  });

  test("offers values after =", async () => {
    // Bash takes = as a word.
    const lines = shell === "bash" ? [["user", "list", "--state", "=", "a"]] : [["user", "list", "--state=a"]];
    const [found] = await complete(lines);
    expect(found?.map((value) => value.replace("--state=", ""))).toEqual(["active"]);
  });
});

test("bash calls the script for the command userlock", async () => {
  const script = `source ${folder.file("bash")}; complete -p userlock`;
  expect(await runCommand("bash", ["--norc", "-c", script])).toEqual({
    code: 0,
    stdout: "complete -F _userlock userlock\n",
    stderr: "",
  });
});

test("another shell is refused with the names of the three", async () => {
  const { code, stdout, stderr } = await runUserlock(["completion", "powershell"]);
  expect({ code, stdout }).toEqual({ code: 64, stdout: "" });
  expect(stderr).toContain("there is no command powershell: use bash, zsh, fish");
});

test("zsh reads the script, and calls it for the command userlock", async () => {
  const cache = folder.file("zcompdump");
  const script = `autoload -Uz compinit; compinit -u -d ${cache}; source ${folder.file("zsh")}; echo $_comps[userlock]`;
  expect(await runCommand("zsh", ["-f", "-c", script])).toEqual({ code: 0, stdout: "_userlock\n", stderr: "" });
});

test("the script hands zsh every command, and every option with its values", async () => {
  // What zsh would match with the word at the cursor.
  const stubs = `compdef() {}
    _describe() { local all=("\${(@P)@[-1]}"); print -rl -- "\${(@)all%%:*}" }
    _arguments() { shift; print -rl -- "$@" }`;
  const nodes = all(COMMANDS);
  const calls = nodes.map(([words]) => {
    const line = ["userlock", ...words, "''"];
    return `words=(${line.join(" ")}); CURRENT=${line.length}; _userlock; echo .`;
  });
  const script = [stubs, `source ${folder.file("zsh")}`, ...calls].join("\n");
  const { code, stdout, stderr } = await runCommand("zsh", ["-f", "-c", script]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const handed = stdout.split(/^\.\n/m).slice(0, -1);
  for (const [index, [, node]] of nodes.entries()) {
    const lines = handed[index]
      ?.trimEnd()
      .split("\n")
      .filter((line) => !line.startsWith("*:"));
    if (isGroup(node)) {
      expect(lines).toEqual([...Object.keys(node.commands), ...namesOf(node), "--help", "--version"]);
      continue;
    }
    const names = lines?.map((line) => /^\*?(--[\w-]+)/.exec(line)?.[1]);
    expect(names).toEqual([...namesOf(node), "--help"]);
    for (const [position, { words }] of Object.values(node.options).entries()) {
      if (words) expect(lines?.[position]).toMatch(new RegExp(`:\\(${words.join(" ")}\\)$`));
    }
  }
});

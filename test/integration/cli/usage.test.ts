// Proves that each command shows its help, and that a mistaken command line gets a sentence and exit code 64.
import { COMMANDS } from "../../../src/cli/commands.ts";
import { type Command, type Group, isGroup } from "../../../src/cli/frame/command.ts";
import { runCommand } from "../../support/servers/command.ts";
import { runUserlock as userlock } from "../../support/servers/run-userlock.ts";

/** All groups and commands, with the words that call them. */
function all(node: Group | Command, words: string[] = []): [words: string[], node: Group | Command][] {
  const below = isGroup(node) ? Object.entries(node.commands) : [];
  return [[words, node], ...below.flatMap(([name, one]) => all(one, [...words, name]))];
}
const NODES = all(COMMANDS);

describe("the command line", () => {
  test.each(NODES)(
    "shows the help of userlock %j for -h, --help and after help, with exit code 0",
    async (words, node) => {
      const shown = await userlock([...words, "--help"]);
      expect(shown).toMatchObject({ code: 0, stderr: "" });
      expect(shown.stdout).toContain(node.summary);
      expect(shown.stdout).toContain(`Usage: ${["userlock", ...words].join(" ")}`);
      expect(await userlock([...words, "-h"])).toEqual(shown);
      expect(await userlock(["help", ...words])).toEqual(shown);
    },
  );

  test.each(NODES)(
    "has one line of at most 120 characters for each command and option in the help of userlock %j",
    async (words, node) => {
      const { stdout } = await userlock([...words, "--help"]);
      for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(120);
      const names = isGroup(node) ? Object.keys(node.commands) : Object.keys(node.options).map((name) => `--${name}`);
      for (const name of names) {
        expect(stdout.split("\n").filter((line) => line.startsWith(`  ${name} `) || line === `  ${name}`)).toHaveLength(
          1,
        );
      }
    },
  );

  test.each(NODES.filter(([, node]) => !isGroup(node)))(
    "has an example that begins with the command in the help of userlock %j",
    (words, node) => {
      expect((node as Command).example.split(" ").slice(0, words.length)).toEqual(words);
    },
  );

  test("shows how to call the default command of a group without its name", async () => {
    const { stdout } = await userlock(["sessions", "--help"]);
    expect(stdout).toContain("\nUsage: userlock sessions [COMMAND] [options]\n");
    expect(stdout).toContain("\nWithout COMMAND it is list: userlock sessions USER\n");
  });

  test("prints the version of the package for --version at every level", async () => {
    for (const words of [[], ["token"], ["token", "list"]]) {
      expect(await userlock([...words, "--version"])).toEqual({ code: 0, stdout: "userlock 0.1.0\n", stderr: "" });
    }
  });
});

test.each<[args: string[], says: string, help: string]>([
  [[], "userlock: a command is missing: lock, ", "userlock"],
  [["freeze"], "userlock: there is no command freeze", "userlock"],
  [["lokc"], "userlock: there is no command lokc; did you mean lock?", "userlock"],
  [["--colour"], "userlock: there is no option --colour", "userlock"],
  [["help", "freeze"], "userlock: there is no command freeze", "userlock"],
  [["token"], "userlock token: a command is missing: create, list, revoke", "userlock token"],
  [["token", "revok"], "userlock token: there is no command revok; did you mean revoke?", "userlock token"],
  [["serve", "now"], "userlock serve: takes no arguments: now", "userlock serve"],
  [["lock", "--duratoin", "1h"], "there is no option --duratoin; did you mean --duration?", "userlock lock"],
  [["lock", "-x"], "there is no option -x", "userlock lock"],
  [["lock", "a", "--reason"], "--reason needs a value: --reason CODE", "userlock lock"],
  [["lock", "a", "--reason", "--dry-run"], "--reason needs a value: --reason CODE", "userlock lock"],
  [["lock", "a", "--reason="], "--reason is empty", "userlock lock"],
  [["lock", "a", "--reason", "x", "--reason", "y"], "--reason is given 2 times; give it once", "userlock lock"],
  [["lock", "a", "--dry-run=yes"], "--dry-run takes no value", "userlock lock"],
  [
    ["lock", "a", "--duration", "1 hour"],
    '--duration must be a number with a unit of s, m, h, d or w, such as 30m or 12h, and at most 3650d, not "1 hour"',
    "userlock lock",
  ],
  [
    ["lock", "a", "--until", "tomorrow"],
    '--until must be a time with its zone, such as 2030-01-31T12:00:00Z, not "tomorrow"',
    "userlock lock",
  ],
  [["lock", "a", "--expect", "many"], '--expect must be a number from 0 to 999,999,999, not "many"', "userlock lock"],
  [
    ["token", "create", "--subject", "s", "--role", "ROOT"],
    "--role must be one of INSTANCE_OWNER, ",
    "userlock token create",
  ],
  [["token", "create", "--role", "GATEWAY"], "--subject is missing: who holds the token", "userlock token create"],
  [["token", "revoke"], "TOKEN_ID is missing", "userlock token revoke"],
  [["token", "revoke", "a", "b"], "takes one TOKEN_ID, not 2", "userlock token revoke"],
  [["token", "list", "--output", "xml"], '--output must be one of table, json, not "xml"', "userlock token list"],
])("userlock %j is refused with 64: %s", async (args, says, help) => {
  const answer = await userlock(args, { USERLOCK_URL: "http://127.0.0.1:1", USERLOCK_TOKEN: "a-token" });
  expect(answer).toMatchObject({ code: 64, stdout: "" });
  const [first, last, ...more] = answer.stderr.split("\n");
  expect(first).toContain(says);
  expect([last, ...more]).toEqual([`${help} --help shows how it is used.`, ""]);
});

test("colours are used on a terminal only, and not with NO_COLOR", async () => {
  const bold = "\x1b[1m";
  expect((await userlock(["--help"])).stdout).not.toContain(bold);
  const terminal = { isTTY: true };
  expect((await userlock(["--help"], {}, { terminal })).stdout).toContain(bold);
  expect((await userlock(["--help"], { NO_COLOR: "1" }, { terminal })).stdout).not.toContain(bold);
  expect((await userlock(["--help"], { TERM: "dumb" }, { terminal })).stdout).not.toContain(bold);
});

describe("a command whose output ends", () => {
  /** Runs a shell line in which `userlock` is a separate process. */
  const shell = (line: string) =>
    runCommand("bash", ["-c", line.replaceAll("userlock", `"${process.execPath}" src/main.ts`)]);

  test("on a full device prints one line on stderr and exits with 74", async () => {
    expect(await shell("userlock --help > /dev/full")).toEqual({
      code: 74,
      stdout: "",
      stderr: "userlock: the output cannot be written: no space is left on the device\n",
    });
  });

  test("at a closed pipe exits silently", async () => {
    expect(await shell("(sleep 2; userlock --help) | true; echo $?")).toEqual({ code: 0, stdout: "0\n", stderr: "" });
    expect(await shell("set -o pipefail; (sleep 1; userlock demo) | head -1 > /dev/null")).toEqual({
      code: 0,
      stdout: "",
      stderr: "",
    });
  });
});

test.each([
  ["a command", ["\u001B[31m"], {}],
  ["an option", ["lock", "--\u001B]0;title\u0007"], {}],
  ["an address", ["status"], { USERLOCK_URL: "\u001B[31m" }],
] satisfies [string, string[], Record<string, string>][])(
  "control characters in %s are not repeated",
  async (_what, args, env) => {
    const { code, stderr } = await userlock([...args], env);
    expect(code).toBe(64);
    expect(stderr.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
  },
);

test("an address with a password is refused, and the password is not repeated", async () => {
  const { code, stdout, stderr } = await userlock(["status"], { USERLOCK_URL: "http://ann:hunter2@127.0.0.1:1" });
  expect(code).toBe(64);
  expect(stdout + stderr).not.toContain("hunter2");
});

import { type Command, command, type Group } from "../frame/command.ts";
import { completionScript, SHELLS } from "../frame/completion.ts";
import { EX_OK, UsageError } from "../frame/errors.ts";

/** The command that prints the completion of all commands. */
export function completionOf(root: () => Group): Command {
  return command({
    summary: "Print the completion script of a shell: bash, zsh or fish",
    argument: "SHELL",
    options: {},
    example: "completion bash",
    async run(_values, [name], { stdout }) {
      const shell = SHELLS.find((one) => one === name);
      if (shell === undefined) throw new UsageError(`SHELL must be one of ${SHELLS.join(", ")}, not ${name}`);
      stdout.write(completionScript(shell, root()));
      return EX_OK;
    },
  });
}

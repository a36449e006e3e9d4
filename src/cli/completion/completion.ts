import { type Command, command, type Group } from "../frame/command.ts";
import { EX_OK } from "../frame/errors.ts";
import { bashCompletion } from "./bash.ts";
import { fishCompletion } from "./fish.ts";
import { type Place, placesOf } from "./places.ts";
import { zshCompletion } from "./zsh.ts";

/** The commands that print completion scripts for the commands below `root`. */
export function completionOf(root: () => Group): Group {
  const script = (shell: string, place: string, write: (places: Place[]) => string): Command =>
    command({
      summary: `Print the completion script for ${shell}`,
      options: {},
      example: `completion ${shell} > ${place}`,
      async run(_values, _args, { stdout }) {
        stdout.write(write(placesOf(root())));
        return EX_OK;
      },
    });
  return {
    summary: "Complete commands and options with the Tab key",
    commands: {
      bash: script("bash", "~/.local/share/bash-completion/completions/userlock", bashCompletion),
      zsh: script("zsh", "$fpath[1]/_userlock", zshCompletion),
      fish: script("fish", "~/.config/fish/completions/userlock.fish", fishCompletion),
    },
  };
}

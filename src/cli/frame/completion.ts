import { type Command, type Group, isGroup } from "./command.ts";

/** Shells with a completion script. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** One completion: a word and what it is for. */
interface Word {
  word: string;
  summary: string;
}

/** What can follow a path of commands, such as ` user list`, which begins with a space unless it is empty. */
interface Place {
  path: string;
  words: Word[];
  /** Options after which a file comes, and options after which one of few words comes. */
  files: string[];
  choices: [option: string, words: readonly string[]][];
  /** Its argument is a file. */
  takesFile: boolean;
}

const HELP: Word = { word: "--help", summary: "show how it is used" };

function placesOf(node: Group | Command, path = ""): Place[] {
  if (isGroup(node)) {
    const words = Object.entries(node.commands).map(([word, { summary }]) => ({ word, summary }));
    const below = Object.entries(node.commands).flatMap(([word, one]) => placesOf(one, `${path} ${word}`));
    return [{ path, words: [...words, HELP], files: [], choices: [], takesFile: false }, ...below];
  }
  const entries = Object.entries(node.options);
  const words = entries.map(([name, { summary }]) => ({ word: `--${name}`, summary }));
  const files = entries.filter(([, { value }]) => value === "FILE").map(([name]) => `--${name}`);
  const choices = entries.flatMap(([name, option]): Place["choices"] =>
    option.words ? [[`--${name}`, option.words]] : [],
  );
  return [{ path, words: [...words, HELP], files, choices, takesFile: !!node.argument?.includes("FILE") }];
}

/** The script that makes a shell complete the commands and options of `userlock`. */
export function completionScript(shell: (typeof SHELLS)[number], root: Group): string {
  const places = placesOf(root);
  return { bash, zsh, fish }[shell](places);
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** Paths of commands as patterns of `case`. */
const patterns = (places: Place[]) =>
  places
    .filter(({ path }) => path !== "")
    .map(({ path }) => quoted(path))
    .join("|");

function bash(places: Place[]): string {
  const cases = places.flatMap(({ path, files, choices }) => [
    ...choices.map(([option, words]) => `    ${quoted(`${path} ${option}`)}) words=${quoted(words.join(" "))} ;;`),
    ...files.map((option) => `    ${quoted(`${path} ${option}`)}) isFile=1 ;;`),
  ]);
  return `# Completion of userlock in bash. Load it with: source <(userlock completion bash)
_userlock() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" path="" words="" isFile="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path \${COMP_WORDS[i]}" in
      ${patterns(places)}) path="$path \${COMP_WORDS[i]}" ;;
    esac
  done
  case "$path $prev" in
${cases.join("\n")}
  esac
  if [[ -z $words && -z $isFile ]]; then
    case "$path" in
${places
  .map(
    ({ path, words, takesFile }) =>
      `      ${quoted(path)}) words=${quoted(words.map(({ word }) => word).join(" "))}${takesFile ? " isFile=1" : ""} ;;`,
  )
  .join("\n")}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  if [[ -n $isFile && $cur != -* ]]; then COMPREPLY+=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null; fi
}
complete -F _userlock userlock
`;
}

function zsh(places: Place[]): string {
  const described = (words: Word[]) =>
    words.map(({ word, summary }) => quoted(`${word}:${summary.replaceAll(":", "\\:")}`)).join(" ");
  const cases = places.flatMap(({ path, files, choices }) => [
    ...choices.map(([option, words]) => `    ${quoted(`${path} ${option}`)}) compadd -- ${words.join(" ")}; return ;;`),
    ...files.map((option) => `    ${quoted(`${path} ${option}`)}) _files; return ;;`),
  ]);
  return `#compdef userlock
# Completion of userlock in zsh. Load it with: source <(userlock completion zsh)
_userlock() {
  local place="" i
  local -a found
  for ((i = 2; i < CURRENT; i++)); do
    case "$place $words[i]" in
      ${patterns(places)}) place="$place $words[i]" ;;
    esac
  done
  case "$place $words[CURRENT-1]" in
${cases.join("\n")}
  esac
  case "$place" in
${places
  .map(
    ({ path, words, takesFile }) => `    ${quoted(path)}) found=(${described(words)})${takesFile ? "; _files" : ""} ;;`,
  )
  .join("\n")}
  esac
  _describe userlock found
}
if (( $+functions[compdef] )); then compdef _userlock userlock; fi
`;
}

function fish(places: Place[]): string {
  const lines = places.flatMap(({ path, words, files, choices, takesFile }) => {
    const at = `complete -c userlock -n ${quoted(`__userlock_at "${path}"`)}`;
    return words.map(({ word, summary }) => {
      const description = `-d ${quoted(summary)}`;
      if (!word.startsWith("--")) return `${at} -f -a ${quoted(word)} ${description}`;
      const [, choice] = choices.find(([option]) => option === word) ?? [];
      const value = choice ? ` -x -a ${quoted(choice.join(" "))}` : files.includes(word) ? " -r -F" : "";
      return `${at}${takesFile || value !== "" ? "" : " -f"} -l ${word.slice(2)}${value} ${description}`;
    });
  });
  return `# Completion of userlock in fish. Load it with: userlock completion fish | source
function __userlock_at
  set -l place ""
  for word in (commandline -opc)[2..-1]
    switch "$place $word"
      case ${patterns(places).replaceAll("|", " ")}
        set place "$place $word"
    end
  end
  test "$place" = "$argv[1]"
end
${lines.join("\n")}
`;
}

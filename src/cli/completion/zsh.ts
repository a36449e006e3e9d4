import type { Place, PlaceOption } from "./places.ts";

/** A script that completes userlock in zsh, from a folder of `fpath` or by `source`. */
export function zshCompletion(places: Place[]): string {
  return `#compdef userlock
# Completes userlock in zsh. To load it: source <(userlock completion zsh)
${places.map((place) => (place.commands.length > 0 ? groupOf(place) : commandOf(place))).join("")}
if [[ $funcstack[1] == _userlock ]]; then
  _userlock "$@"
else
  compdef _userlock userlock
fi
`;
}

function functionOf(words: string[]): string {
  return ["_userlock", ...words].join("_");
}

function groupOf({ words, commands, options, default: meant }: Place): string {
  const described = (all: { name: string; summary: string }[]) =>
    all.map(({ name, summary }) => `      ${quoted(`${name}:${summary}`)}\n`).join("");
  const next = commands.map(
    ({ name }) => `    ${name}) shift words; ((CURRENT--)); ${functionOf([...words, name])} ;;\n`,
  );
  if (meant !== undefined) next.push(`    *) ${functionOf([...words, meant])} ;;\n`);
  return `${functionOf(words)}() {
  if ((CURRENT == 2)); then
    local -a commands=(
${described(commands)}    ) options=(
${described(options)}    )
    _describe -t commands command commands
    _describe -o -t options option options
    return
  fi
  case $words[2] in
${next.join("")}  esac
}
`;
}

function commandOf({ words, options, argument }: Place): string {
  const specs = options.map(specOf);
  if (argument) specs.push(quoted(`*:${inColons(argument.name)}:${argument.kind === "file" ? "_files" : " "}`));
  return `${functionOf(words)}() {
  _arguments : \\
${specs.map((spec) => `    ${spec}`).join(" \\\n")}
}
`;
}

function specOf({ name, summary, value, isMany }: PlaceOption): string {
  const described = `[${summary.replaceAll(/[[\]\\]/g, "\\$&")}]`;
  if (!value) return quoted(`${name}${described}`);
  const action = value.kind === "words" ? `(${value.words.join(" ")})` : value.kind === "file" ? "_files" : " ";
  return quoted(`${isMany ? "*" : ""}${name}=${described}:${inColons(value.name)}:${action}`);
}

/** Text between colons of a specification. */
function inColons(text: string): string {
  return text.replaceAll(/[:\\]/g, "\\$&");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

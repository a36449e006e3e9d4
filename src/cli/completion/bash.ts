import type { Place } from "./places.ts";

/** A script that completes userlock in bash 3.2 and newer. */
export function bashCompletion(places: Place[]): string {
  const groups = places.filter(({ commands }) => commands.length > 0);
  const lost = groups.filter((group) => group.default === undefined).map(({ words }) => patternOf(words));
  const meant = groups.filter((group) => group.default !== undefined);
  return `# Completes userlock in bash. To load it: source <(userlock completion bash)
_userlock() {
  local cur=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} place= words= options= at
  COMPREPLY=()
  # In --name=value, bash takes = as a word.
  if [[ $cur == "=" ]]; then
    cur=
  elif [[ $before == "=" ]]; then
    before=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((at = 1; at < COMP_CWORD; at++)); do
    case "$place \${COMP_WORDS[at]}" in
      ${oneOf(places.filter(({ words }) => words.length > 0).map(({ words }) => patternOf(words)))}
        place+=" \${COMP_WORDS[at]}" ;;
      *) break ;;
    esac
  done
  if ((at < COMP_CWORD)); then
    case $place in
      ${oneOf(lost)} return ;;
${meant.map((group) => `      ${patternOf(group.words)}) place+=" ${group.default}" ;;\n`).join("")}    esac
  fi
  case "$place $before" in
${valuesOf(places)}  esac
  case $place in
${places.map(candidatesOf).join("")}  esac
  [[ $cur == -* ]] && words=$options
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
_userlock_files() {
  local IFS=$'\\n'
  compopt -o default 2> /dev/null && return
  # bash 3.2: a name is typed as it is offered, so it must be quoted.
  COMPREPLY=()
  local file
  while read -r file; do COMPREPLY+=("$(printf %q "$file")"); done < <(compgen -f -- "$1")
}
complete -F _userlock userlock
`;
}

/** The words of a place as bash finds them: a space before each. */
function patternOf(words: string[]): string {
  return `"${words.map((word) => ` ${word}`).join("")}"`;
}

function oneOf(patterns: string[]): string {
  return `${patterns.join(" | ")})`;
}

/** The cases that complete the value of an option. */
function valuesOf(places: Place[]): string {
  const byAction = new Map<string, string[]>();
  for (const { words, options } of places) {
    for (const { name, value } of options) {
      if (!value) continue;
      const action =
        value.kind === "words"
          ? `COMPREPLY=($(compgen -W "${value.words.join(" ")}" -- "$cur")); return`
          : value.kind === "file"
            ? '_userlock_files "$cur"; return'
            : "return";
      byAction.set(action, [...(byAction.get(action) ?? []), patternOf([...words, name])]);
    }
  }
  return [...byAction].map(([action, patterns]) => `    ${oneOf(patterns)}\n      ${action} ;;\n`).join("");
}

/** The case of a place. Without commands and arguments, options are offered before a dash is typed. */
function candidatesOf({ words, commands, options, argument }: Place): string {
  const found = [`options="${options.map(({ name }) => name).join(" ")}"`];
  if (argument?.kind === "file") found.push('[[ $cur == -* ]] || { _userlock_files "$cur"; return; }');
  if (!argument)
    found.push(commands.length > 0 ? `words="${commands.map(({ name }) => name).join(" ")}"` : "words=$options");
  return `    ${patternOf(words)}) ${found.join("; ")} ;;\n`;
}

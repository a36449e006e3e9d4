import type { Place, PlaceOption } from "./places.ts";

/** A script that completes userlock in fish 3 and newer. */
export function fishCompletion(places: Place[]): string {
  const groups = places.filter(({ commands }) => commands.length > 0);
  const lost = groups.filter((group) => group.default === undefined).map(({ words }) => placeOf(words));
  const meant = groups.flatMap((group) =>
    group.default === undefined
      ? []
      : [
          `                    case ${placeOf(group.words)}`,
          `                        set place ${placeOf([...group.words, group.default])}`,
        ],
  );
  const below = places.filter(({ words }) => words.length > 0).map(({ words }) => placeOf(words));
  return `# Completes userlock in fish. To load it: userlock completion fish | source
function __userlock_at
    set -l words (commandline -opc)
    set -l place ''
    for word in $words[2..]
        switch "$place $word"
            case ${below.join(" ")}
                set place "$place $word"
            case '*'
                switch "$place"
                    case ${lost.join(" ")}
                        return 1
${meant.map((line) => `${line}\n`).join("")}                end
                break
        end
    end
    test "$place" = "$argv[1]"
end
complete -c userlock -f
${places.flatMap(linesOf).join("")}`;
}

/** The words of a place as the function finds them: a space before each. */
function placeOf(words: string[]): string {
  return `'${words.map((word) => ` ${word}`).join("")}'`;
}

function linesOf({ words, commands, options, argument }: Place): string[] {
  const here = `complete -c userlock -n ${quoted(`__userlock_at ${placeOf(words)}`)}`;
  return [
    ...commands.map(({ name, summary }) => `${here} -a ${name} -d ${quoted(summary)}\n`),
    ...options.map((option) => `${here} ${optionOf(option)} -d ${quoted(option.summary)}\n`),
    ...(argument?.kind === "file" ? [`${here} -F\n`] : []),
  ];
}

function optionOf({ name, value }: PlaceOption): string {
  const long = `-l ${name.replace(/^--/, "")}`;
  if (!value) return long;
  if (value.kind === "words") return `${long} -x -a ${quoted(value.words.join(" "))}`;
  return `${long} ${value.kind === "file" ? "-r -F" : "-x"}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, "\\$&")}'`;
}

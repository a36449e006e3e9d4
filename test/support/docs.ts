import { globSync, readFileSync } from "node:fs";

/** A page of the documentation, with its path. */
export interface Page {
  path: string;
  text: string;
}

/** README.md, then the pages in `docs` in the order of their paths. */
export const PAGES: readonly Page[] = ["README.md", ...globSync("docs/**/*.md").sort()].map((path) => ({
  path,
  text: readFileSync(path, "utf8"),
}));

/** The text of all pages. */
export const DOCUMENTATION = PAGES.map(({ text }) => text).join("\n");

/** The code blocks of a language, such as "sh". */
export function blocks(language: string): { path: string; code: string }[] {
  const block = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "gms");
  return PAGES.flatMap(({ path, text }) =>
    [...text.matchAll(block)].map(([, code]) => ({ path, code: code as string })),
  );
}

/** The samples in a language on the page about clients. */
export const clientSamples = (language: string): string[] =>
  blocks(language).flatMap(({ path, code }) => (path === "docs/clients.md" ? [code] : []));

/** The documented service config of gRPC clients, in JSON. */
export const SERVICE_CONFIG = clientSamples("json")[0] as string;

/** The cells of the tables below a heading that only one page has. The first row is the table's head. */
export function rows(heading: string): string[][] {
  const line = new RegExp(`^(#+) ${heading}$`, "m");
  const found = PAGES.flatMap(({ text }) => {
    const match = line.exec(text);
    return match ? [{ depth: match[1]?.length, below: text.slice(match.index + match[0].length) }] : [];
  });
  const [section, ...others] = found;
  if (!section || others.length > 0) throw new Error(`${found.length} pages have the heading "${heading}"`);
  const [text] = section.below.split(new RegExp(`^#{1,${section.depth}} `, "m"));
  return (text as string)
    .split("\n")
    .filter((line) => line.startsWith("| ") && !/^\|[-|]+\|$/.test(line))
    .map((line) =>
      line
        .slice(2, -2)
        .split(/ \|(?= |$)/)
        .map((cell) => cell.trim()),
    );
}

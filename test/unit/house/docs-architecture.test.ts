// Proves that docs/architecture.md and the decisions name what is there.
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { rows } from "../../support/docs.ts";

const PAGE = readFileSync("docs/architecture.md", "utf8");
const OWN_PAGES = globSync("docs/{architecture,limits,operations,performance,security}.md").concat(
  globSync("docs/decisions/*.md"),
);

const pathsIn = (cell: string | undefined) =>
  [...(cell ?? "").matchAll(/`([^`]+)`/g)].map(([, path]) => path as string);

test('each row of "Where is what" names files and folders that exist', () => {
  const places = rows("Where is what").slice(1);
  expect(places.length).toBeGreaterThanOrEqual(15);
  const paths = places.map(([, where]) => pathsIn(where));
  expect(paths.filter((each) => each.length === 0)).toEqual([]);
  expect(paths.flat().filter((path) => !existsSync(path))).toEqual([]);
});

test("each box of the diagrams is a file of src", () => {
  const boxes = [...PAGE.matchAll(/\[\(?([a-z-]+(?:\/[a-z-]+)+)(?:<br>|\))/g)].map(([, path]) => `src/${path}.ts`);
  expect(boxes.length).toBeGreaterThan(10);
  expect(boxes.filter((path) => !existsSync(path))).toEqual([]);
});

/** The folders that the files of a folder of src import. */
function importsOf(folder: string): string[] {
  const found = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => {
      const text = readFileSync(join(folder, file), "utf8");
      return [...text.matchAll(/(?:from|import\()\s*"(\.[^"]+)"/g)].map(([, specifier]) => {
        const [first, second] = normalize(join(folder, dirname(file), specifier as string)).split("/");
        return (first === "src" ? second : first) as string;
      });
    });
  return [...new Set(found)].filter((name) => !name.endsWith(".ts") && join("src", name) !== folder).sort();
}

test("the table of folders has every folder of src, with what it imports", () => {
  const written = rows("Folders")
    .slice(1)
    .map(([folder, , imports]) => [pathsIn(folder)[0] as string, imports as string])
    .filter(([folder]) => /^src\/[a-z]+$/.test(folder as string));
  const folders = readdirSync("src", { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const expected = folders.map(({ name }) => [`src/${name}`, importsOf(`src/${name}`).join(", ") || "nothing"]);
  expect(Object.fromEntries(written)).toEqual(Object.fromEntries(expected));
});

test("each decision has one page of at most 40 lines, with four parts, and a row in the list", () => {
  const names = readdirSync("docs/decisions").map((file) => file.replace(/\.md$/, ""));
  const listed = rows("Decisions")
    .slice(1)
    .map(([cell]) => /^\[([\w-]+)\]\(decisions\/\1\.md\)$/.exec(cell as string)?.[1]);
  expect(listed.toSorted()).toEqual(names.toSorted());
  for (const name of names) {
    const text = readFileSync(`docs/decisions/${name}.md`, "utf8");
    expect(text.split("\n").length).toBeLessThanOrEqual(41);
    expect([name, text.match(/^\*\*[\w ]+\.\*\*/gm)]).toEqual([
      name,
      ["**Context.**", "**Decision.**", "**What was measured.**", "**Consequences.**"],
    ]);
  }
});

/** The anchor that GitHub gives a heading. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, "")
    .replaceAll(" ", "-");

test.each(OWN_PAGES)("each link of %s leads to a page and a heading that exist", (page) => {
  const broken = [...readFileSync(page, "utf8").matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g)]
    .map(([, path, anchor]) => ({ path: path ? join(dirname(page), path) : page, anchor }))
    .filter(({ path, anchor }) => {
      if (!existsSync(path)) return true;
      const headings = [...readFileSync(path, "utf8").matchAll(/^#+ (.+)$/gm)].map(([, text]) =>
        anchorOf(text as string),
      );
      return anchor !== undefined && !headings.includes(anchor);
    });
  expect(broken).toEqual([]);
});

// Proves that the pages about the project are complete and that their links lead somewhere.
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

const PROJECT = JSON.parse(readFileSync("package.json", "utf8"));
const pages = [
  "README.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "packages/client/README.md",
  ...globSync("docs/**/*.md").sort(),
];

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(page: string): string[] {
  const text = readFileSync(page, "utf8").replaceAll(/^```.*?^```/gms, "");
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    (heading as string)
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

test("every link to a file or a heading of the project leads there", () => {
  const broken = pages.flatMap((page) => {
    const links = [...readFileSync(page, "utf8").matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)];
    return links.flatMap(([link, file, anchor]) => {
      const target = file ? join(dirname(page), file) : page;
      const isThere = existsSync(target) && (anchor === undefined || anchorsOf(target).includes(anchor));
      return isThere ? [] : [`${page}: ${link}`];
    });
  });
  expect(broken).toEqual([]);
});

test("the README fits on 150 lines and links to every page of the documentation", () => {
  const text = readFileSync("README.md", "utf8");
  expect(text.trimEnd().split("\n").length).toBeLessThanOrEqual(150);
  const linked = globSync("docs/*.md").filter((page) => !text.includes(`](${page})`));
  expect(linked).toEqual([]);
});

test("the license is Apache-2.0 everywhere", () => {
  expect(PROJECT.license).toBe("Apache-2.0");
  expect(readFileSync("LICENSE", "utf8")).toMatch(/^\s*Apache License\n\s*Version 2\.0, January 2004\n/);
  expect(readFileSync("README.md", "utf8")).toContain("[Apache-2.0](LICENSE)");
});

test("the newest version of the changelog is that of the package", () => {
  const [, version] = /^## \[(\d+\.\d+\.\d+)\]/m.exec(readFileSync("CHANGELOG.md", "utf8")) ?? [];
  expect(version).toBe(PROJECT.version);
});

test(".nvmrc names the major version of Node that the project needs", () => {
  const major = readFileSync(".nvmrc", "utf8").trim();
  expect(PROJECT.engines.node).toBe(`>=${major}`);
  expect(PROJECT.devDependencies.node ?? PROJECT.dependencies.node).toMatch(new RegExp(`^${major}\\.`));
});

test("every file and folder that the guide for contributors names exists", () => {
  const text = readFileSync("CONTRIBUTING.md", "utf8");
  const named = [...text.matchAll(/`((?:src|test|proto|gen|bench|docs|\.ci)\/[\w./-]+)`/g)].map(
    ([, path]) => path as string,
  );
  expect(named.length).toBeGreaterThan(15);
  expect(named.filter((path) => !existsSync(path))).toEqual([]);
});

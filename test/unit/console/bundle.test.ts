// Proves that the console's script stays small, and has nothing that its content security policy forbids.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const FOLDER = "dist/console";
const read = (ending: string) =>
  readFileSync(`${FOLDER}/${readdirSync(FOLDER).find((name) => name.endsWith(ending))}`, "utf8");

test("the script has at most 120 KiB, compressed by gzip", () => {
  expect(gzipSync(read(".js"), { level: 9 }).byteLength).toBeLessThanOrEqual(120 * 1024);
});

test("the page has no script and no style of its own, and loads nothing from elsewhere", () => {
  const page = read(".html");
  expect(page).not.toMatch(/<style|style=|<script(?![^>]* src="\/console\/)|\son\w+=/);
  const addresses = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address]) => address as string);
  expect(addresses.filter((address) => !/^(\/console\/|data:image\/svg)/.test(address))).toEqual([]);
});

test("no component writes markup, code or inline styles, which the policy forbids", () => {
  const files = readdirSync("src/console", { recursive: true, encoding: "utf8" }).filter((name) =>
    /\.tsx?$/.test(name),
  );
  const forbidden = /dangerouslySetInnerHTML|innerHTML|\beval\(|new Function\(|document\.write|\bstyle=/;
  expect(files.length).toBeGreaterThan(10);
  expect(files.filter((name) => forbidden.test(readFileSync(`src/console/${name}`, "utf8")))).toEqual([]);
});

// Proves that tables are read as in RFC 4180, in pieces of any size.
import fc from "fast-check";
import { quotedIfNeeded, recordsIn } from "../../../src/cli/bulk/csv.ts";
import { idsIn } from "../../../src/cli/bulk/id-list.ts";
import { UsageError } from "../../../src/cli/frame/errors.ts";

async function* pieces(text: string, size: number) {
  for (let at = 0; at < text.length; at += size) yield text.slice(at, at + size);
}

async function read(text: string, size = 1_000) {
  const records: [line: number, ...cells: string[]][] = [];
  for await (const { line, cells } of recordsIn(pieces(text, size))) records.push([line, ...cells]);
  return records;
}

test("the separator is the most frequent one of the head, and quotes can contain separators, line breaks and quotes", async () => {
  const text = '\uFEFFid;name\r\n1;"a;b"\r\n\r\n2;"a\n""b"""\n3; c \n"4";';
  for (const size of [1, 2, 7, 1_000]) {
    expect(await read(text, size)).toEqual([
      [1, "id", "name"],
      [2, "1", "a;b"],
      [4, "2", 'a\n"b"'],
      [6, "3", "c"],
      [7, "4", ""],
    ]);
  }
});

test.each([
  [
    "a tab",
    "a\tb\n1\t2,3\n",
    [
      [1, "a", "b"],
      [2, "1", "2,3"],
    ],
  ],
  [
    "one column",
    "a\n1\n",
    [
      [1, "a"],
      [2, "1"],
    ],
  ],
  ["no text", "", []],
])("a table is read with %s", async (_what, text, records) => {
  expect(await read(text)).toEqual(records);
});

test.each([
  ["a quote that is not closed", 'a,b\n1,"2\n3,4\n', "line 2: a quote is opened and not closed"],
  ["text after a quote", 'a,b\n"1"x,2\n', "line 2: a quoted value is followed by other text"],
])("%s is refused with its line", async (_what, text, says) => {
  await expect(read(text)).rejects.toThrow(new UsageError(says));
});

test("random cells are read back as they were written", async () => {
  const cell = fc.string({ unit: fc.constantFrom("a", '"', ",", ";", " ", "\n", "ü", "#"), maxLength: 6 });
  const rows = fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(rows, fc.integer({ min: 1, max: 9 }), async (cells, size) => {
      const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
      const text = `h,i\n${cells.map(([a, b]) => `${quoted(a)},${quoted(b)}\n`).join("")}`;
      expect((await read(text, size)).slice(1).map(([, ...found]) => found)).toEqual(cells);
    }),
  );
});

test("an id that is quoted if needed is read back from a list", async () => {
  const text = fc.string({ unit: fc.constantFrom("a", '"', ",", ";", " ", "ü", "#"), minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(text, async (id) => {
      const found: string[] = [];
      for await (const listed of idsIn(pieces(`${quotedIfNeeded(id)}\tREASON\n`, 3))) found.push(listed.id);
      expect(found).toEqual([id]);
    }),
  );
});

// Proves that texts that look the same to people fold to the same text.
import fc from "fast-check";
import { fold } from "../../../src/domain/fold.ts";

test.each([
  ["case", "Ann", "aNN"],
  ["case of umlauts", "ÄNNE", "änne"],
  ["case of a final sigma", "ΟΔΟΣ", "οδος"],
  ["the form of a final sigma", "οδοσ", "οδος"],
  ["case of a sharp s", "STRASSE", "straße"],
  ["case of a capital sharp s", "STRAẞE", "straße"],
  ["case of a dotted capital I", "İPEK", "i̇pek"],
  ["case of a letter that has no composed capital", "J\u030Cx", "\u01F0X"],
  ["case of an iota subscript", "ᾼ", "ᾳ"],
  ["case outside the basic plane", "𐐀", "𐐨"],
  ["composition", "a\u0308nne", "änne"],
  ["composition and case", "A\u0308NNE", "änne"],
  ["the order of combining characters", "a\u0323\u0302", "a\u0302\u0323"],
  ["composition of Hangul", "\u1112\u1161\u11AB", "한"],
  ["width", "ａｎｎ", "ann"],
  ["ligatures", "ﬁn", "fin"],
  ["a unit sign for a letter", "Å", "å"],
])("texts that differ only in %s fold to the same text", (_, one, other) => {
  expect(fold(one)).toBe(fold(other));
});

test.each([
  ["anne", "änne"],
  ["ann", "ann "],
  ["a.nn", "ann"],
  ["аnn", "ann"],
  ["ss", "s"],
])("%p and %p fold to different texts", (one, other) => {
  expect(fold(one)).not.toBe(fold(other));
});

/** Spellings of a text that people see as the same text. */
const WRITTEN: [string, (text: string) => string][] = [
  ["in upper case", (text) => text.normalize("NFC").toUpperCase()],
  ["in lower case", (text) => text.toLowerCase()],
  ["as NFC", (text) => text.normalize("NFC")],
  ["as NFD", (text) => text.normalize("NFD")],
  ["as NFKC", (text) => text.normalize("NFKC")],
  ["as NFKD", (text) => text.normalize("NFKD")],
  ["in upper case as NFD", (text) => text.normalize("NFC").toUpperCase().normalize("NFD")],
  ["folded", fold],
];

/** All code points except surrogates and unassigned or private-use planes. */
const CODES = [
  [0x1, 0xd7ff],
  [0xe000, 0x3_ffff],
  [0xe_0000, 0xe_0fff],
].flatMap(([first = 0, last = 0]) => Array.from({ length: last - first + 1 }, (_, index) => first + index));

test.each(WRITTEN)("every character folds to the same text when it is written %s", (_, write) => {
  const others: string[] = [];
  for (const code of CODES) {
    const character = String.fromCodePoint(code);
    const written = write(character);
    if (written !== character && fold(written) !== fold(character)) others.push(code.toString(16));
  }
  expect(others).toEqual([]);
});

test.each(WRITTEN)("any text folds to the same text when it is written %s", (_, write) => {
  const character = fc.oneof(
    fc.string({ unit: "binary", minLength: 1, maxLength: 1 }),
    fc.constantFrom(
      "ß",
      "ς",
      "Σ",
      "İ",
      "ı",
      "ŉ",
      "ǰ",
      "ΐ",
      "ᾳ",
      "\u0345",
      "\u0308",
      "\u0301",
      "\u0323",
      "\u030C",
      "i",
      "J",
    ),
  );
  fc.assert(
    fc.property(fc.array(character, { maxLength: 8 }), (characters) => {
      const text = characters.join("");
      expect(fold(write(text))).toBe(fold(text));
    }),
    { numRuns: 1_000 },
  );
});

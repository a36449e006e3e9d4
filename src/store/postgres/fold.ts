import { fold } from "../../domain/fold.ts";
import { ICU } from "./schema.ts";

/**
 * Ranges of code points with letters whose case is newer than Unicode 10 (the oldest supported ICU), or whose
 * compatibility form is newer than Unicode 13 (PostgreSQL 14).
 */
const NEWER: [from: number, to: number][] = [
  [0x1c89, 0x1cbf],
  [0x2c2f, 0x2c2f],
  [0xa7b8, 0xa7ff],
  [0x1_0570, 0x1_05ff],
  [0x1_0780, 0x1_07bf],
  [0x1_0d50, 0x1_0d8f],
  [0x1_6e40, 0x1_6eff],
  [0x1_ccd6, 0x1_ccf9],
  [0x1_e030, 0x1_e06d],
];

const newer = NEWER.flatMap(([from, to]) =>
  Array.from({ length: to - from + 1 }, (_, index) => String.fromCodePoint(from + index)),
).filter((character) => fold(character) !== character);

/** The SQL of `fold` for a text. No index uses it, because an update of ICU would break the index. */
export function foldedSql(text: string): string {
  const lower = `lower(upper(lower(normalize(whole.text, NFKC) COLLATE ${ICU})))`;
  const composed = `normalize(replace(${lower}, 'ς', 'σ'), NFKC) COLLATE "C"`;
  const translated = `translate(old.text, '${newer.join("")}', '${newer.map(fold).join("")}')`;
  // OFFSET 0 prevents computing a subquery twice. Nearly all text is ASCII, which is fast.
  return `(SELECT
    CASE WHEN octet_length(whole.text) = length(whole.text) THEN lower(whole.text COLLATE "C")
    ELSE (
      SELECT CASE WHEN old.text ~ '[${newer.join("")}]' THEN ${translated} ELSE old.text END
      FROM (SELECT ${composed} AS text OFFSET 0) AS old
    ) END
    FROM (SELECT ${text} AS text OFFSET 0) AS whole)`;
}

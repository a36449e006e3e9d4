// Proves that printed text cannot steer a terminal, whatever a user, a file or a server put into it.
import { failureLine } from "../../../src/cli/bulk/report.ts";
import { printable, printableJson, printableLines } from "../../../src/cli/frame/printable.ts";

const HOSTILE = [
  ["an escape sequence", "\u001B]0;title\u0007"],
  ["a control sequence in 8 bits", "\u009B31m"],
  ["a line break", "one\r\ntwo"],
  ["DEL", "\u007F"],
  ["an override of the direction", "\u202Etxt.exe"],
  ["an isolate of the direction", "\u2066x\u2069"],
  ["a line separator", "one\u2028two"],
  ["an invisible space", "a\u200Bb"],
] as const;
const STEERING = /[\p{Cc}\u200B\u2028-\u202E\u2060-\u2069\uFEFF]/u;

test.each(HOSTILE)("%s does not reach the terminal as text", (_what, text) => {
  expect(printable(text)).not.toMatch(STEERING);
  expect(printableLines(text).replaceAll("\n", "")).not.toMatch(STEERING);
});

test.each(HOSTILE)("%s is an escape in JSON, which means the same", (_what, text) => {
  const json = printableJson(JSON.stringify({ text }));
  expect(json).not.toMatch(STEERING);
  expect(JSON.parse(json)).toEqual({ text });
});

test.each(HOSTILE)("%s in an id or a message is not in the line of a failure", (_what, text) => {
  const failure = { id: text, reason: "INVALID_REQUEST", message: text };
  for (const isJson of [true, false]) expect(failureLine(failure, isJson).replaceAll("\t", "")).not.toMatch(STEERING);
});

test("letters that need a joiner stay as they are", () => {
  const name = "می\u200Cخواهم";
  expect(printable(name)).toBe(name);
});

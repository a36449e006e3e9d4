// Proves that lines that are written together keep their order, and that no text can end a line or reach a terminal.
import { createLogger } from "../../../src/log.ts";

let writes: string[];
beforeEach(() => {
  writes = [];
});
const open = (level: "info" | "warn" = "info") => createLogger(level, { write: (text) => writes.push(text) });
const turn = () => new Promise((resolve) => setImmediate(resolve));
const messages = () => writes.map((text) => [...text.matchAll(/"msg":"(\w+)"/g)].map(([, msg]) => msg));

test("the lines of one turn are one write, after it", async () => {
  const log = open();
  for (const msg of ["a", "b", "c"]) log.line({}, msg);
  expect(writes).toEqual([]);
  await turn();
  log.line({}, "d");
  await turn();
  expect(messages()).toEqual([["a", "b", "c"], ["d"]]);
});

test("any other line comes after the lines before it, at once", () => {
  const log = open();
  log.line({}, "a");
  log.info("b");
  expect(messages()).toEqual([["a", "b"]]);
});

test("many long lines do not wait for the end of the turn", async () => {
  const log = open();
  for (let index = 0; index < 100; index++) log.line({ text: "x".repeat(1_000) }, "a");
  expect(writes).toHaveLength(1);
  await turn();
  expect(messages().flat()).toHaveLength(100);
});

test("a line is JSON with a level and a time, and none is written below the level", async () => {
  open().line({ a: 1 }, "b");
  open("warn").line({ a: 1 }, "b");
  await turn();
  expect(writes.map((text) => JSON.parse(text))).toEqual([
    { level: "info", time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]{12}Z$/), a: 1, msg: "b" },
  ]);
});

test("no text can end a line or control a terminal", async () => {
  const hostile = "\n\r\u001b[31m\u007f\u0085\u009b31m\u2028\u2029";
  const log = open();
  log.line({ hostile }, "a");
  log.error({ err: new Error(hostile) }, "b");
  const lines = writes.join("").trimEnd().split("\n");
  expect(lines).toHaveLength(2);
  for (const line of lines) expect(line).toMatch(/^[\x20-\x7e]+$/);
  expect(JSON.parse(lines[0] as string).hostile).toBe(hostile);
});

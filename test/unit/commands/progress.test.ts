// Proves that the progress of a bulk command is shown briefly.
import { createProgress, spanOf } from "../../../src/cli/bulk/progress.ts";

/** A screen that records its output, and a clock that the test sets, in milliseconds. */
function screenOf(isTTY: boolean, columns = 100) {
  let now = 0;
  const written: string[] = [];
  const progress = createProgress({ isTTY, columns, write: (text) => written.push(text) }, () => now);
  return {
    written,
    progress,
    at(time: number, done: number, failed = 0, isTotalKnown = true) {
      now = time;
      progress.show({ done, total: isTotalKnown ? 100_000 : undefined, failed });
    },
  };
}

test("on a terminal a progress bar redraws itself with rate, remaining time and failures", () => {
  const { at, written } = screenOf(true);
  at(0, 0);
  at(1_000, 25_000, 3);
  at(1_050, 26_000, 3);
  at(4_000, 100_000, 3);
  expect(written).toEqual([
    "[------------------------]   0%  0 of 100,000",
    "\r\x1b[K",
    "[######------------------]  25%  25,000 of 100,000  3 failed  25,000/s  3.0 s left",
    "\r\x1b[K",
    "[########################] 100%  100,000 of 100,000  3 failed  25,000/s",
  ]);
});

test("the progress bar is no wider than the terminal, and is cleared before a message", () => {
  const { at, written, progress } = screenOf(true, 20);
  at(500, 50_000);
  progress.note("waiting");
  progress.clear();
  expect(written).toEqual(["[############------", "\r\x1b[K", "waiting\n"]);
});

test("without a terminal a progress line is written every five seconds, and none before that", () => {
  const { at, written } = screenOf(false);
  at(100, 1_000);
  at(4_900, 40_000);
  at(5_000, 50_000, 1);
  at(6_000, 60_000, 1);
  at(10_100, 100_000, 1);
  expect(written).toEqual([
    "50,000 of 100,000  1 failed  9,800/s  5.1 s left\n",
    "100,000 of 100,000  1 failed  9,802/s\n",
  ]);
});

test("the rate ignores earlier runs, and without a total no remaining time is shown", () => {
  const { at, written } = screenOf(true);
  at(0, 90_000);
  at(1_000, 91_000);
  at(2_000, 92_000, 0, false);
  expect(written.filter((text) => text.includes("/s"))).toEqual([
    "[#####################---]  91%  91,000 of 100,000  1,000/s  9.0 s left",
    "92,000  1,000/s",
  ]);
});

test.each([
  [0.44, "0.4 s"],
  [42.4, "42 s"],
  [185, "3 min 5 s"],
])("a duration of %d seconds is shown as %j", (seconds, words) => {
  expect(spanOf(seconds)).toBe(words);
});

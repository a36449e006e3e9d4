import type { Screen } from "../frame/command.ts";

/** Pause between two bars on a terminal, and between two lines elsewhere, milliseconds. */
const DRAW_MS = 100;
const LINE_MS = 5_000;
const BAR = 24;

/** The progress to show. */
interface Standing {
  done: number;
  /** Undefined if it is not known. */
  total: number | undefined;
  failed: number;
}

/** Shows progress: a bar on a terminal, a line every few seconds elsewhere. `now` is in milliseconds. */
export function createProgress(screen: Screen, now: () => number = () => performance.now()) {
  const started = now();
  let first: number | undefined;
  let shown = screen.isTTY ? Number.NEGATIVE_INFINITY : started;
  let isDrawn = false;

  /** Erases the bar, so that other text can be printed. */
  function clear(): void {
    if (isDrawn) screen.write("\r\x1b[K");
    isDrawn = false;
  }

  return {
    show(standing: Standing): void {
      // Users finished before this run do not count for its rate.
      first ??= standing.done;
      const time = now();
      const isLast = standing.done === standing.total;
      if (time - shown < (screen.isTTY ? DRAW_MS : LINE_MS) && !(screen.isTTY && isLast)) return;
      const elapsed = (time - started) / 1_000;
      if (screen.isTTY) {
        clear();
        screen.write(barOf(standing, standing.done - first, elapsed).slice(0, (screen.columns || 80) - 1));
        isDrawn = true;
      } else {
        screen.write(`${factsOf(standing, standing.done - first, elapsed)}\n`);
      }
      shown = time;
    },
    /** Prints a line above the bar. */
    note(line: string): void {
      clear();
      screen.write(`${line}\n`);
    },
    clear,
  };
}

function barOf(standing: Standing, doneNow: number, elapsed: number): string {
  const { done, total } = standing;
  const facts = factsOf(standing, doneNow, elapsed);
  if (!total) return facts;
  const filled = Math.min(Math.floor((done / total) * BAR), BAR);
  const percent = `${Math.min(Math.floor((done / total) * 100), 100)}%`.padStart(4);
  return `[${"#".repeat(filled)}${"-".repeat(BAR - filled)}] ${percent}  ${facts}`;
}

function factsOf({ done, total, failed }: Standing, doneNow: number, elapsed: number): string {
  const perSecond = elapsed > 0 ? doneNow / elapsed : 0;
  const facts = [total === undefined ? count(done) : `${count(done)} of ${count(total)}`];
  if (failed > 0) facts.push(`${count(failed)} failed`);
  if (perSecond > 0) facts.push(`${count(perSecond)}/s`);
  if (perSecond > 0 && total !== undefined && total > done) facts.push(`${spanOf((total - done) / perSecond)} left`);
  return facts.join("  ");
}

/** Such as `12,345`. */
export const count = (number: number) => Math.round(number).toLocaleString("en");

/** Such as `1 user` or `12,345 users`. */
export const usersOf = (number: number) => `${count(number)} ${number === 1 ? "user" : "users"}`;

/** Such as `0.4 s`, `42 s` or `3 min 5 s`. */
export function spanOf(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

// Proves that answers are dropped if their client does not read them in time.
import { jest } from "@jest/globals";
import type { Exchange } from "../../../src/transport/http/exchange.ts";
import { createUnread } from "../../../src/transport/http/unread-answers.ts";

const LIMIT_MS = 1_000;

/** An exchange that records when it is cut. */
function written({ isInLine = false } = {}) {
  const cut = jest.fn();
  return { isInLine, cut } as unknown as Exchange & { isInLine: boolean; cut: jest.Mock };
}

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

describe("a written answer", () => {
  test("is cut after its time limit, and not earlier", () => {
    const unread = createUnread(LIMIT_MS);
    const exchange = written();
    unread.add(exchange);
    jest.advanceTimersByTime(LIMIT_MS);
    expect(exchange.cut).not.toHaveBeenCalled();
    jest.advanceTimersByTime(LIMIT_MS / 10);
    expect(exchange.cut).toHaveBeenCalledTimes(1);
  });

  test("is not cut once it is read, even if other answers are", () => {
    const unread = createUnread(LIMIT_MS);
    const [first, second, third] = [written(), written(), written()];
    for (const exchange of [first, second, third]) unread.add(exchange);
    unread.delete(second);
    jest.advanceTimersByTime(10 * LIMIT_MS);
    expect([first, second, third].map(({ cut }) => cut.mock.calls.length)).toEqual([1, 0, 1]);
  });

  test("gets its full time limit from when its turn comes", () => {
    const unread = createUnread(LIMIT_MS);
    const exchange = written({ isInLine: true });
    unread.add(exchange);
    jest.advanceTimersByTime(5 * LIMIT_MS);
    expect(exchange.cut).not.toHaveBeenCalled();
    exchange.isInLine = false;
    jest.advanceTimersByTime(3 * LIMIT_MS);
    expect(exchange.cut).toHaveBeenCalledTimes(1);
  });

  test("leaves no timer once all answers are read", () => {
    const unread = createUnread(LIMIT_MS);
    const exchange = written();
    unread.add(exchange);
    expect(jest.getTimerCount()).toBe(1);
    unread.delete(exchange);
    jest.advanceTimersByTime(LIMIT_MS / 10);
    expect(jest.getTimerCount()).toBe(0);
    unread.add(exchange);
    jest.advanceTimersByTime(2 * LIMIT_MS);
    expect(exchange.cut).toHaveBeenCalledTimes(1);
  });
});

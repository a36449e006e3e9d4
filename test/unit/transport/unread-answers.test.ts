// Proves that answers that nobody reads are bounded.
import { jest } from "@jest/globals";
import type { Exchange } from "../../../src/transport/http/exchange.ts";
import { createUnread } from "../../../src/transport/http/unread-answers.ts";

const LIMIT_MS = 1_000;

/** An exchange that knows when it was cut. */
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

describe("an answer that is written", () => {
  test("is cut after its time, and not before", () => {
    const unread = createUnread(LIMIT_MS);
    const exchange = written();
    unread.add(exchange);
    jest.advanceTimersByTime(LIMIT_MS);
    expect(exchange.cut).not.toHaveBeenCalled();
    jest.advanceTimersByTime(LIMIT_MS / 10);
    expect(exchange.cut).toHaveBeenCalledTimes(1);
  });

  test("is not cut once it is taken, whatever others do", () => {
    const unread = createUnread(LIMIT_MS);
    const [first, second, third] = [written(), written(), written()];
    for (const exchange of [first, second, third]) unread.add(exchange);
    unread.delete(second);
    jest.advanceTimersByTime(10 * LIMIT_MS);
    expect([first, second, third].map(({ cut }) => cut.mock.calls.length)).toEqual([1, 0, 1]);
  });

  test("has its time from when it is its turn", () => {
    const unread = createUnread(LIMIT_MS);
    const exchange = written({ isInLine: true });
    unread.add(exchange);
    jest.advanceTimersByTime(5 * LIMIT_MS);
    expect(exchange.cut).not.toHaveBeenCalled();
    exchange.isInLine = false;
    jest.advanceTimersByTime(3 * LIMIT_MS);
    expect(exchange.cut).toHaveBeenCalledTimes(1);
  });

  test("leaves no clock running once all are taken", () => {
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

// Jest runs this before each test file. Every answer over REST that a test gets by fetch is checked.
import { checkAnswer } from "./answers.ts";
import { isRest } from "./check-answer.ts";

const unchecked = globalThis.fetch;

globalThis.fetch = async (input, init) => {
  const response = await unchecked(input, init);
  const request = input instanceof Request ? input : undefined;
  const { pathname: path } = new URL(request?.url ?? String(input));
  const { status, headers } = response;
  if (!isRest(path) || headers.get("content-type") === "text/event-stream") return response;
  // The connection can break while a test reads the answer.
  const copy = response.clone();
  const text = await copy.text().catch(() => undefined);
  if (text === undefined) return response;
  const verb = (init?.method ?? request?.method ?? "GET").toUpperCase();
  checkAnswer({ verb, path, status, headers, text });
  return response;
};

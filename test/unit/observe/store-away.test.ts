// Proves what the log has while the store is away: one line for its loss and one for its return, and few of the calls.

import { Code } from "../../../gen/google/rpc/code_pb.ts";
import { createReadiness, createRecovery } from "../../../src/app/startup/readiness.ts";
import { createFaultLog, createLogger } from "../../../src/log.ts";

test("a failed call has the store checked until it is back, without any probe", async () => {
  const seen: string[] = [];
  let checks = 0;
  const check = async () => {
    if (++checks < 3) throw new Error("away");
  };
  const isGood = createReadiness({ check }, (error) => seen.push(error === undefined ? "back" : "lost"));
  const stopping = new AbortController();
  const failed = createRecovery(isGood, stopping.signal);
  for (let index = 0; index < 100; index++) failed();
  for (let waited = 0; waited < 500 && seen.length < 2; waited++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect(seen).toEqual(["lost", "back"]);
  expect(checks).toBe(3);
  stopping.abort();
  failed();
  expect(checks).toBe(3);
});

test("a stop ends the checks of a store that is away", async () => {
  let checks = 0;
  const stopping = new AbortController();
  const isGood = async () => {
    checks++;
    stopping.abort();
    return false;
  };
  createRecovery(isGood, stopping.signal)();
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(checks).toBe(1);
});

test("ten calls a minute that the store fails have a line with the cause, and each internal error has one", () => {
  const lines: string[] = [];
  const log = createLogger("info", { write: (text) => lines.push(text) });
  const { callError } = createFaultLog(log, new AbortController().signal);
  const error = {
    code: Code.UNAVAILABLE,
    reason: "STORE_UNAVAILABLE",
    message: "away",
    cause: new Error("the disk is full"),
  };
  for (let index = 0; index < 1_000; index++) callError(error, "LockUser", `r${index}`);
  expect(lines).toHaveLength(10);
  expect(lines[0]).toContain("the disk is full");
  for (let index = 0; index < 20; index++)
    callError({ ...error, code: Code.INTERNAL, reason: undefined }, "LockUser", "r");
  expect(lines).toHaveLength(30);
});

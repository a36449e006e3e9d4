// Proves that all servers of a store must use the same key.
import { createExecute, systemCaller } from "../../../src/app/execute.ts";
import { ensureSameKey, resetKey } from "../../../src/app/startup/instance-key.ts";
import { operatorOn } from "../../../src/domain/identifier.ts";
import type { EventStore } from "../../../src/store/port.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { handClock } from "../../support/servers/app.ts";
import { timeAt } from "../../support/user-story.ts";

let store: EventStore;
let execute: ReturnType<typeof createExecute>;

beforeEach(async () => {
  store = await openSqliteStore(":memory:", "default");
  execute = createExecute({ store, clock: handClock(timeAt(0)) });
});

afterEach(() => store.close());

const start = (fingerprint: string) => ensureSameKey({ execute, instanceId: "default", fingerprint });
const reset = () => resetKey(execute, systemCaller(operatorOn("host")));
const REFUSED = expect.objectContaining({ name: "StoreRefused", message: expect.stringContaining("reset-key") });
const NOT_FOUND = expect.objectContaining({ reason: "KEY_NOT_FOUND" });

test("the first server records its key, and a server with another key is refused", async () => {
  await start("one");
  await start("one");
  await expect(start("other")).rejects.toEqual(REFUSED);
  expect((await store.read({ limit: 10 })).events).toMatchObject([{ type: "instance_key.recorded" }]);
});

test("of servers that start together with different keys, one records its key and the rest are refused", async () => {
  const starting = ["a", "b", "c", "d"].map(start);
  const outcomes = await Promise.allSettled(starting);
  expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
});

test("after a reset the next server records a new key, and the log names the operator who reset it", async () => {
  await start("lost");
  await reset();
  await start("new");
  await expect(start("lost")).rejects.toEqual(REFUSED);
  const { events } = await store.read({ limit: 10, where: { types: ["instance_key.reset"] } });
  expect(events).toMatchObject([{ actor: { subject: "admin@host" }, owner: { type: "instance", id: "default" } }]);
});

test("a reset without a recorded key fails with KEY_NOT_FOUND", async () => {
  await expect(reset()).rejects.toEqual(NOT_FOUND);
  await start("one");
  await reset();
  await expect(reset()).rejects.toEqual(NOT_FOUND);
});

// Proves that all servers of a store have one key.
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

test("the first server records its key, and the others must have the same one", async () => {
  await start("one");
  await start("one");
  await expect(start("other")).rejects.toEqual(REFUSED);
  expect((await store.read({ limit: 10 })).events).toMatchObject([{ type: "instance_key.recorded" }]);
});

test("servers that start together record one key between them", async () => {
  const starting = ["a", "b", "c", "d"].map(start);
  const outcomes = await Promise.allSettled(starting);
  expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
});

test("after a reset the next server brings another key, and the log names who reset it", async () => {
  await start("lost");
  await reset();
  await start("new");
  await expect(start("lost")).rejects.toEqual(REFUSED);
  const { events } = await store.read({ limit: 10, where: { types: ["instance_key.reset"] } });
  expect(events).toMatchObject([{ actor: { subject: "admin@host" }, owner: { type: "instance", id: "default" } }]);
});

test("there is nothing to reset before a server has recorded a key, and after a reset", async () => {
  await expect(reset()).rejects.toEqual(NOT_FOUND);
  await start("one");
  await reset();
  await expect(reset()).rejects.toEqual(NOT_FOUND);
});

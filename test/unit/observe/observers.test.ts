// Proves that observers count what a running server shows rarely, and that they change nothing of what they measure.
import { createMetrics } from "../../../src/observe/metrics.ts";
import type { Append, EventStore, LogPage } from "../../../src/store/port.ts";
import { change } from "../../support/stores/appends.ts";

let metrics: ReturnType<typeof createMetrics>;
let now: number;
beforeEach(() => {
  now = 1_000_000;
  metrics = createMetrics({ version: "1.2.3", store: "postgres" }, () => now);
});
afterEach(() => metrics.close());

/** The line of a series. */
async function line(series: string): Promise<string | undefined> {
  const { text } = await metrics.show();
  return text
    .split("\n")
    .find((one) => one.startsWith(`${series} `))
    ?.slice(series.length + 1);
}

test("a conflict is counted as such, and its events are not", async () => {
  const lock: Append = change("u1", { events: [{ type: "user.locked", data: { cause: "manual" } }] });
  metrics.observers.onAppend?.(lock, "conflict");
  expect(await line("userlock_store_conflicts_total")).toBe("1");
  expect(await line('userlock_locks_total{cause="manual"}')).toBe("0");
  metrics.observers.onAppend?.(lock, "appended");
  expect(await line('userlock_locks_total{cause="manual"}')).toBe("1");
});

test("fetches of keys are counted by their outcome", async () => {
  metrics.observers.onKeys?.(true);
  metrics.observers.onKeys?.(false);
  metrics.observers.onKeys?.(false);
  expect(await line('userlock_jwks_fetches_total{outcome="ok"}')).toBe("1");
  expect(await line('userlock_jwks_fetches_total{outcome="failed"}')).toBe("2");
});

test("a compared password of a locked user is a probe", async () => {
  const probe = change("u1", { events: [{ type: "user.lock_probed", data: { isRight: false } }] });
  metrics.observers.onAppend?.(probe, "appended");
  expect(await line("userlock_lock_probes_total")).toBe("1");
});

test("the queue of passwords has those that wait, and not those that are hashed", async () => {
  const hash = Promise.withResolvers<string>();
  const hasher = metrics.observers.hasher({
    hash: () => hash.promise,
    verify: async () => ({ isRight: true, isOutdated: false }),
    pretend: async () => {},
    isCostly: (text) => text === "costly",
  });
  let isFirst = true;
  const queue = metrics.observers.hashQueue({
    async hash(password) {
      if (!isFirst) await hash.promise;
      isFirst = false;
      return hasher.hash(password);
    },
    verify: hasher.verify,
    pretend: (password) => hasher.pretend(password),
  });
  const turn = { caller: "c", user: "u" };
  const both = [queue.hash("a", turn), queue.hash("b", turn)];
  expect(await line("userlock_password_queue")).toBe("1");
  hash.resolve("hashed");
  expect(await Promise.all(both)).toEqual(["hashed", "hashed"]);
  expect(await line("userlock_password_queue")).toBe("0");
  expect(await line('userlock_password_hash_duration_seconds_count{op="hash"}')).toBe("2");
  expect(hasher.isCostly("costly")).toBe(true);
});

test("a stream that the server ends is counted by its reason, and its error goes on", async () => {
  const slow = Object.assign(new Error("too slow"), { reason: "WATCHER_TOO_SLOW" });
  const watch = metrics.observers.watch(() => Promise.reject(slow));
  await expect(watch({} as never, {} as never)).rejects.toBe(slow);
  expect(await line('userlock_watch_cut_total{reason="WATCHER_TOO_SLOW"}')).toBe("1");
  expect(await line("userlock_watchers")).toBe("0");
});

test("the lag of a message is measured, except for events from before the stream", async () => {
  const messages: unknown[] = [];
  const watch = metrics.observers.watch(async (_question, { send, keepAlive }) => {
    send({ time: now - 1 } as never);
    now += 40_000;
    send({ time: now - 30_000 } as never);
    keepAlive("3", true);
    throw new Error("over");
  });
  const take = (message: unknown) => messages.push(message) > 0;
  const watcher = { send: take, keepAlive: take };
  await watch({} as never, watcher as never).catch(() => {});
  expect(messages).toHaveLength(3);
  expect(await line("userlock_watch_messages_total")).toBe("2");
  expect(await line("userlock_watch_lag_seconds_count")).toBe("1");
  expect(await line("userlock_watch_lag_seconds_sum")).toBe("0.03");
});

test("the age of the last read to the end of the log grows while reads fail or have more to come", async () => {
  let page: Partial<LogPage> | undefined = { hasMore: false };
  const store = { read: async () => page ?? Promise.reject(new Error("away")) } as unknown as EventStore;
  const followed = metrics.observers.followed(store);
  const over = Promise.withResolvers<never>();
  over.promise.catch(() => {});
  const watching = metrics.observers.watch(() => over.promise)({} as never, {} as never);
  const age = async () => Number(await line("userlock_log_read_age_seconds"));
  await new Promise((resolve) => setTimeout(resolve, 30));
  for (const next of [{ hasMore: true }, undefined]) {
    page = next;
    await followed.read({ limit: 1 }).catch(() => {});
    expect(await age()).toBeGreaterThan(0.02);
  }
  page = { hasMore: false };
  await followed.read({ limit: 1 });
  expect(await age()).toBeLessThan(0.02);
  over.reject(new Error("over"));
  await watching.catch(() => {});
  expect(await age()).toBe(0);
});

test("a server is ready if its probe says so, and retries and pools are shown by trouble and by pool", async () => {
  expect(await line("userlock_ready")).toBe("0");
  const pools = [{ name: "writes", used: 1, idle: 2, pending: 3 }];
  const store = { usage: () => ({ waiting: 4, pools }) } as unknown as EventStore;
  metrics.observers.onServing({ store, isReady: async () => true });
  expect(await line("userlock_ready")).toBe("1");
  metrics.observers.store?.retried("collision");
  expect(await line('userlock_store_retries_total{trouble="collision"}')).toBe("1");
  expect(await line("userlock_store_waiting")).toBe("4");
  expect(await line('db_client_connection_count{pool="writes",state="used"}')).toBe("1");
  expect(await line('db_client_connection_count{pool="writes",state="idle"}')).toBe("2");
  expect(await line('db_client_connection_pending_requests{pool="writes"}')).toBe("3");
});

test("the build has its version, its Node and its store", async () => {
  expect(await line(`userlock_build_info{version="1.2.3",node="${process.versions.node}",store="postgres"}`)).toBe("1");
});

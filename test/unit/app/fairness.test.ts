// Proves that callers get turns and places fairly, however many jobs one of them has.
import { setImmediate as nextTurn } from "node:timers/promises";
import { createBreather, createFairQueue, createQuota } from "../../../src/app/fairness.ts";
import type { DomainError } from "../../../src/domain/errors.ts";

/** Jobs that run until the test ends them, and the names of the started ones. */
function jobs(limits: Parameters<typeof createFairQueue>[0]) {
  const started: string[] = [];
  const ends = new Map<string, PromiseWithResolvers<string>>();
  const queue = createFairQueue(limits);
  return {
    started,
    run: (holder: string, name: string, signal?: AbortSignal) =>
      queue(
        holder,
        () => {
          started.push(name);
          const end = Promise.withResolvers<string>();
          ends.set(name, end);
          return end.promise;
        },
        signal,
      ),
    async end(name: string) {
      ends.get(name)?.resolve(`${name} done`);
      await nextTurn();
    },
    async fail(name: string) {
      ends.get(name)?.reject(new Error(name));
      await nextTurn();
    },
  };
}

const reasonOf = (error: unknown) => (error as DomainError).reason;

describe("a fair queue", () => {
  test("runs at most `atOnce` jobs concurrently and the rest in FIFO order, even after a failed job", async () => {
    const { started, run, end, fail } = jobs({ atOnce: 2 });
    const results = Promise.allSettled(["a", "b", "c", "d"].map((name) => run("one", name)));
    await nextTurn();
    expect(started).toEqual(["a", "b"]);
    await fail("b");
    expect(started).toEqual(["a", "b", "c"]);
    await end("a");
    await end("c");
    await end("d");
    expect((await results).map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
    const later = run("one", "e");
    await end("e");
    expect(await later).toBe("e done");
  });

  test("serves holders in turn, so a greedy holder delays another holder's job by one job", async () => {
    const { started, run, end } = jobs({ atOnce: 1 });
    const all = [..."aaaa"].map((name, n) => run("greedy", `${name}${n}`));
    all.push(run("modest", "m0"), run("modest", "m1"), run("third", "t0"));
    for (let n = 0; n < all.length; n++) await end(started[n] as string);
    await Promise.all(all);
    expect(started).toEqual(["a0", "a1", "m0", "t0", "a2", "m1", "a3"]);
  });

  test("runs at most `atOnceEach` jobs of one holder, and leaves the other places to others", async () => {
    const { started, run, end } = jobs({ atOnce: 3, atOnceEach: 2 });
    const all = ["a0", "a1", "a2", "a3"].map((name) => run("greedy", name));
    expect(started).toEqual(["a0", "a1"]);
    all.push(run("modest", "m0"));
    expect(started).toEqual(["a0", "a1", "m0"]);
    await end("m0");
    expect(started).toHaveLength(3);
    for (const name of ["a0", "a1", "a2", "a3"]) await end(name);
    await Promise.all(all);
  });

  test("refuses jobs beyond the total or the holder's limit with TOO_MANY_REQUESTS, and accepts jobs again later", async () => {
    const { run, end } = jobs({ atOnce: 1, waiting: 3, waitingEach: 2 });
    const all = ["a0", "a1", "a2"].map((name) => run("greedy", name));
    await expect(run("greedy", "a3")).rejects.toMatchObject({ reason: "TOO_MANY_REQUESTS" });
    all.push(run("modest", "m0"));
    await expect(run("third", "t0")).rejects.toMatchObject({ reason: "TOO_MANY_REQUESTS" });
    await end("a0");
    all.push(run("third", "t1"));
    for (const name of ["a1", "m0", "a2", "t1"]) await end(name);
    for (const name of ["t1", "a2", "m0"]) await end(name);
    await Promise.all(all);
  });

  test("never lets a few holders fill all waiting places", async () => {
    const { run, end } = jobs({ atOnce: 1, waiting: 64, waitingEach: 16 });
    const running = run("first", "running");
    const all: Promise<string>[] = [];
    const waits = async (holder: string) => {
      const job = run(holder, `${holder} ${all.length}`);
      const outcome = await Promise.race([job.catch(reasonOf), nextTurn("waits")]);
      if (outcome === "waits") all.push(job);
      return outcome;
    };
    for (const greedy of ["a", "b", "c", "d", "e"]) for (let job = 0; job < 20; job++) await waits(greedy);
    expect(all.length).toBeGreaterThan(50);
    expect(await waits("modest")).toBe("waits");
    expect(await waits("a")).toBe("TOO_MANY_REQUESTS");
    await end("running");
    await running;
  });

  test("skips the jobs of an aborted caller and runs the next job", async () => {
    const { started, run, end } = jobs({ atOnce: 1 });
    const leaving = new AbortController();
    const first = run("one", "first");
    const gone = Array.from({ length: 1_000 }, (_, n) => run("one", `gone ${n}`, leaving.signal));
    const last = run("one", "last");
    leaving.abort(new Error("left"));
    expect(new Set((await Promise.allSettled(gone)).map(({ status }) => status))).toEqual(new Set(["rejected"]));
    await expect(run("one", "late", leaving.signal)).rejects.toThrow("left");
    await end("first");
    await end("last");
    await Promise.all([first, last]);
    expect(started).toEqual(["first", "last"]);
  });
});

describe("a quota", () => {
  const takenFrom = (quota: ReturnType<typeof createQuota>, holder: string) => {
    try {
      return quota(holder);
    } catch (error) {
      return reasonOf(error);
    }
  };

  test("gives all places to one holder when there is no limit for each holder", () => {
    const quota = createQuota({ total: 3, each: Number.POSITIVE_INFINITY, full: "No place is left." });
    for (let place = 0; place < 3; place++) expect(takenFrom(quota, "proxy")).toBeInstanceOf(Function);
    expect(takenFrom(quota, "proxy")).toBe("TOO_MANY_REQUESTS");
  });

  test("limits the places in total and for each holder, and reuses each released place once", () => {
    const quota = createQuota({ total: 3, each: 2, full: "No place is left." });
    const [first] = [quota("a"), quota("a")];
    expect(takenFrom(quota, "a")).toBe("TOO_MANY_REQUESTS");
    quota("b");
    expect(takenFrom(quota, "b")).toBe("TOO_MANY_REQUESTS");
    first();
    first();
    expect(takenFrom(quota, "c")).toBeInstanceOf(Function);
    expect(takenFrom(quota, "d")).toBe("TOO_MANY_REQUESTS");
  });

  test("shrinks a holder's share to half of the free places as they fill up", () => {
    const quota = createQuota({ total: 64, each: 32, full: "No place is left." });
    const most = (holder: string) => {
      let taken = 0;
      while (typeof takenFrom(quota, holder) === "function") taken++;
      return taken;
    };
    expect(["a", "b", "c", "d", "e", "f", "g", "h"].map(most)).toEqual([32, 16, 8, 4, 2, 1, 1, 0]);
  });

  test("gives the remaining places to a holder that has none", () => {
    const quota = createQuota({ total: 10, each: 5, full: "No place is left." });
    const giveBack = quota("a", 5);
    quota("b", 3);
    expect(() => quota("b", 1)).toThrow("No place is left.");
    quota("c", 2);
    expect(() => quota("d")).toThrow("No place is left.");
    giveBack();
    expect(() => quota("b", 2)).not.toThrow();
  });
});

test("jobs that yield with a breather continue one at a time, one in each event-loop turn", async () => {
  const breathe = createBreather();
  const order: string[] = [];
  const busy = (name: string) =>
    (async () => {
      for (let step = 0; step < 3; step++) {
        await breathe();
        order.push(name);
      }
    })();
  const working = Promise.all([busy("a"), busy("b")]);
  for (let turn = 0; turn < 6; turn++) {
    const before = order.length;
    await nextTurn();
    expect(order.length - before).toBeLessThanOrEqual(1);
  }
  await working;
  expect(order).toEqual(["a", "b", "a", "b", "a", "b"]);
});

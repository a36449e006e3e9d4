// Proves that callers take turns, however many jobs one of them has.
import { setImmediate as nextTurn } from "node:timers/promises";
import { createBreather, createFairQueue, createQuota } from "../../../src/app/fairness.ts";
import type { DomainError } from "../../../src/domain/errors.ts";

/** Jobs that run until the test ends them, and the names of those that were started. */
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
  test("runs so many jobs at once and the rest in FIFO order, also after a job that failed", async () => {
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

  test("lets holders take turns, so that many jobs of one delay another's by one", async () => {
    const { started, run, end } = jobs({ atOnce: 1 });
    const all = [..."aaaa"].map((name, n) => run("greedy", `${name}${n}`));
    all.push(run("modest", "m0"), run("modest", "m1"), run("third", "t0"));
    for (let n = 0; n < all.length; n++) await end(started[n] as string);
    await Promise.all(all);
    expect(started).toEqual(["a0", "a1", "m0", "t0", "a2", "m1", "a3"]);
  });

  test("runs at most so many of one holder, and gives the places that are left to others", async () => {
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

  test("refuses what is too much in all or of one holder with TOO_MANY_REQUESTS, and has room again later", async () => {
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

  test("lets no few holders take all places in which jobs wait", async () => {
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

  test("does not run the job of a caller who has left, and gives its turn to the next", async () => {
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

  test("gives one holder all places where holders are not told apart", () => {
    const quota = createQuota({ total: 3, each: Number.POSITIVE_INFINITY, full: "No place is left." });
    for (let place = 0; place < 3; place++) expect(takenFrom(quota, "proxy")).toBeInstanceOf(Function);
    expect(takenFrom(quota, "proxy")).toBe("TOO_MANY_REQUESTS");
  });

  test("gives so many places in all and so many to each holder, and each place once more after it was given back", () => {
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

  test("shrinks a holder's share as places fill, to half of what others leave", () => {
    const quota = createQuota({ total: 64, each: 32, full: "No place is left." });
    const most = (holder: string) => {
      let taken = 0;
      while (typeof takenFrom(quota, holder) === "function") taken++;
      return taken;
    };
    expect(["a", "b", "c", "d", "e", "f", "g", "h"].map(most)).toEqual([32, 16, 8, 4, 2, 1, 1, 0]);
  });

  test("leaves a holder of nothing the places that are left", () => {
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

test("jobs that breathe continue one in each event-loop turn, so that others are served in between", async () => {
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

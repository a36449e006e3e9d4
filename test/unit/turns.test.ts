import { setImmediate as nextTurn } from "node:timers/promises";
import { createBreather, inTurns } from "../../src/app/turns.ts";

const never = new AbortController().signal;

describe("work in turns", () => {
  /** Work that goes on until it is told to end, and what was begun. */
  function tasks(atOnce: number) {
    const begun: string[] = [];
    const ends = new Map<string, PromiseWithResolvers<string>>();
    const run = inTurns(atOnce, (name: string) => {
      begun.push(name);
      const end = Promise.withResolvers<string>();
      ends.set(name, end);
      return end.promise;
    });
    return {
      begun,
      run,
      end: (name: string) => ends.get(name)?.resolve(`${name} done`),
      fail: (name: string) => ends.get(name)?.reject(new Error(name)),
    };
  }

  test("is done so much at a time, in the order of its coming, also after what failed", async () => {
    const { begun, run, end, fail } = tasks(2);
    const results = Promise.allSettled(["a", "b", "c", "d"].map((name) => run(name, never)));
    await nextTurn();
    expect(begun).toEqual(["a", "b"]);
    fail("b");
    await nextTurn();
    expect(begun).toEqual(["a", "b", "c"]);
    end("a");
    await nextTurn();
    end("c");
    end("d");
    expect((await results).map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
    const later = run("e", never);
    await nextTurn();
    end("e");
    expect(await later).toBe("e done");
  });

  test("is not begun for who has left before his turn, and takes no turn from others", async () => {
    const { begun, run, end } = tasks(1);
    const leaving = new AbortController();
    const first = run("first", never);
    const gone = Array.from({ length: 1_000 }, (_, n) => run(`gone ${n}`, leaving.signal));
    const last = run("last", never);
    await nextTurn();
    leaving.abort(new Error("left"));
    expect(new Set((await Promise.allSettled(gone)).map(({ status }) => status))).toEqual(new Set(["rejected"]));
    await expect(run("late", leaving.signal)).rejects.toThrow("left");
    end("first");
    await first;
    await nextTurn();
    expect(begun).toEqual(["first", "last"]);
    end("last");
    expect(await last).toBe("last done");
  });
});

test("who breathes gets on in a turn of his own, so that others are served in between", async () => {
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

import type { EventStore, StoreObserver } from "../../../src/store/port.ts";
import { change } from "../../support/stores/appends.ts";

export function describeUsage(open: (observer: StoreObserver) => Promise<EventStore>): void {
  describe("an observer", () => {
    test("sees each commit with its appends, and the usage counts those without a result", async () => {
      const commits: { rows: number; milliseconds: number }[] = [];
      const store = await open({
        committed: (rows, milliseconds) => commits.push({ rows, milliseconds }),
        retried() {},
      });
      const appends = Array.from({ length: 20 }, (_, index) => store.append(change(`u${index}`)));
      const waiting = store.usage().waiting;
      await Promise.all(appends);
      expect(waiting).toBe(20);
      expect(commits.reduce((sum, { rows }) => sum + rows, 0)).toBe(20);
      expect(commits.length).toBeLessThan(20);
      for (const { milliseconds } of commits) expect(milliseconds).toBeGreaterThan(0);
      // The last commit has ended for the observer a tick after its last answer.
      await new Promise((resolve) => setImmediate(resolve));
      expect(store.usage().waiting).toBe(0);
      const writes = store.usage().pools.find(({ name }) => name === "writes");
      if (writes) expect(writes).toEqual({ name: "writes", used: 0, idle: expect.any(Number), pending: 0 });
      if (writes) expect(writes.idle).toBeGreaterThan(0);
    });
  });
}

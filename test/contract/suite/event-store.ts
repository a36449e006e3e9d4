import type { EventStore, StoreObserver } from "../../../src/store/port.ts";
import { describeAppend, describeClaims, describeRequires } from "./append.ts";
import { describeCount } from "./count.ts";
import { describeHolders } from "./holders.ts";
import { describeLinks } from "./links.ts";
import { describeClose, describeLog } from "./log.ts";
import { describeReceipts } from "./receipts.ts";
import { describeSearch } from "./search.ts";
import { describeSharing } from "./sharing.ts";
import { describeUsage } from "./usage.ts";

/** A place for stores, empty at first. */
export interface Place {
  open(instance: string, observer?: StoreObserver): Promise<EventStore>;
  /** Removes the data after the stores are closed. */
  remove(): Promise<void> | void;
}

/**
 * The suite that every store must pass, for the contract in store/port.ts. `shared` says whether stores that are
 * opened in one place, at once or in turn, have the same data.
 */
export function describeEventStore(name: string, shared: boolean, newPlace: () => Promise<Place>): void {
  describe(name, () => {
    const open = async (place: Place, opened: EventStore[], instance = "default", observer?: StoreObserver) => {
      const store = await place.open(instance, observer);
      opened.push(store);
      return store;
    };
    const leave = async (place: Place, opened: EventStore[]) => {
      for (const store of opened) await store.close();
      await place.remove();
    };

    describe("with an empty store:", () => {
      let place: Place;
      let opened: EventStore[];
      let store: EventStore;

      beforeEach(async () => {
        place = await newPlace();
        opened = [];
        store = await open(place, opened);
      });
      afterEach(() => leave(place, opened));

      const another = (instance?: string) => open(place, opened, instance);
      describeAppend(() => store);
      describeClaims(() => store);
      describeLinks(() => store);
      describeHolders(() => store);
      describeRequires(() => store);
      describeReceipts(() => store);
      describeLog(() => store);
      describeClose(() => store, shared ? another : undefined);
      if (shared) describeSharing(() => store, another);
      describeCount(() => store);
      describeUsage((observer) => open(place, opened, "observed", observer));
    });

    describe("with a filled store: a search", () => {
      let place: Place;
      const opened: EventStore[] = [];

      beforeAll(async () => {
        place = await newPlace();
        await open(place, opened);
      });
      afterAll(() => leave(place, opened));

      describeSearch(() => opened[0] as EventStore);
    });
  });
}

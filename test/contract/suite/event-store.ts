import type { EventStore } from "../../../src/store/port.ts";
import { describeAppend, describeClaims, describeRequires } from "./append.ts";
import { describeLinks } from "./links.ts";
import { describeClose, describeLog } from "./log.ts";
import { describeReceipts } from "./receipts.ts";
import { describeSearch } from "./search.ts";
import { describeSharing } from "./sharing.ts";

/** Where stores are opened, empty at first. */
export interface Place {
  open(instance: string): Promise<EventStore>;
  /** Removes all that is left, once the stores are closed. */
  remove(): Promise<void> | void;
}

/**
 * What every store promises in store/port.ts. `shared` tells whether the stores that are opened in one place, at once
 * or one after another, have the same data.
 */
export function describeEventStore(name: string, shared: boolean, newPlace: () => Promise<Place>): void {
  describe(name, () => {
    const open = async (place: Place, opened: EventStore[], instance = "default") => {
      const store = await place.open(instance);
      opened.push(store);
      return store;
    };
    const leave = async (place: Place, opened: EventStore[]) => {
      for (const store of opened) await store.close();
      await place.remove();
    };

    describe("changes", () => {
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
      describeRequires(() => store);
      describeReceipts(() => store);
      describeLog(() => store);
      describeClose(() => store, shared ? another : undefined);
      if (shared) describeSharing(() => store, another);
    });

    describe("search", () => {
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

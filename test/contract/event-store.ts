import type { EventStore } from "../../src/store/port.ts";
import { describeAppend, describeClaims } from "./append.ts";
import { describeClose, describeLog } from "./log.ts";
import { describeSearch } from "./search.ts";
import { describeSharing } from "./sharing.ts";

/** Where stores are opened, empty at first. */
export interface Place {
  open(instance: string): Promise<EventStore>;
  /** Removes all that is left, once the stores are closed. */
  remove(): Promise<void> | void;
}

/**
 * What every store promises in store/port.ts. `shared` tells whether the stores that are opened in one place, at once or
 * one after another, have the same data.
 */
export function describeEventStore(name: string, shared: boolean, newPlace: () => Promise<Place>): void {
  describe(name, () => {
    let place: Place;
    let opened: EventStore[] = [];
    let store: EventStore;

    async function open(instance = "default"): Promise<EventStore> {
      const another = await place.open(instance);
      opened.push(another);
      return another;
    }

    beforeEach(async () => {
      place = await newPlace();
      store = await open();
    });

    afterEach(async () => {
      for (const one of opened) await one.close();
      opened = [];
      await place.remove();
    });

    describeAppend(() => store);
    describeClaims(() => store);
    describeLog(() => store);
    describeClose(() => store, shared ? open : undefined);
    describeSearch(() => store);
    if (shared) describeSharing(() => store, open);
  });
}

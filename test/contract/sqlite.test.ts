// Proves that the SQLite store keeps every promise of the store's contract, in a file and in memory.
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import { temporaryFolder } from "../support/servers/server-process.ts";
import { describeEventStore } from "./suite/event-store.ts";

describeEventStore("SQLite in a file", true, async () => {
  const folder = temporaryFolder();
  return {
    open: (instance, observer) => openSqliteStore(folder.file("userlock.db"), instance, { observer }),
    remove: folder.remove,
  };
});

describeEventStore("SQLite in memory", false, async () => ({
  open: (instance, observer) => openSqliteStore(":memory:", instance, { observer }),
  remove() {},
}));

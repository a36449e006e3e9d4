import { openPostgresStore } from "../../src/store/postgres/store.ts";
import { newDatabase } from "../support/stores/postgres.ts";
import { describeEventStore } from "./suite/event-store.ts";

describeEventStore("PostgreSQL", true, async () => {
  const database = await newDatabase();
  return {
    open: (instance) => openPostgresStore(database.url, instance),
    remove: database.drop,
  };
});

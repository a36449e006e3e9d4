import { openPostgresStore } from "../../src/store/postgres.ts";
import { newDatabase } from "../support/postgres.ts";
import { describeEventStore } from "./event-store.ts";

describeEventStore("PostgreSQL", true, async () => {
  const database = await newDatabase();
  return {
    open: (instance) => openPostgresStore(database.url, instance),
    remove: database.drop,
  };
});

// Proves that the PostgreSQL store keeps every promise of the store's contract.
// All tests share one database, which TEST_DATABASE_URL can name, and each uses its own instance. So they run on any
// cluster, including one with Citus. The data that they write stays there.
import { randomUUID } from "node:crypto";
import { openPostgresStore } from "../../src/store/postgres/store.ts";
import { type Database, newDatabase } from "../support/stores/postgres.ts";
import { describeEventStore } from "./suite/event-store.ts";

let url = process.env.TEST_DATABASE_URL;
let database: Database | undefined;

beforeAll(async () => {
  if (url !== undefined) return;
  database = await newDatabase();
  url = database.url;
});
afterAll(() => database?.drop());

describeEventStore("PostgreSQL", true, async () => {
  const test = randomUUID();
  return {
    open: (instance, observer) => openPostgresStore(url as string, `${test} ${instance}`, { observer }),
    remove: () => {},
  };
});

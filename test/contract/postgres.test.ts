// Proves that PostgreSQL keeps the contract of stores.
/*
 * Proves that the store in PostgreSQL does what every store promises. All tests share one database, that of
 * TEST_DATABASE_URL if it is set, and each has an instance of its own; so it runs on any cluster, one of Citus, too.
 * What it writes there stays.
 */
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
    open: (instance) => openPostgresStore(url as string, `${test} ${instance}`),
    remove: () => {},
  };
});

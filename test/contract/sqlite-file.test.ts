// Proves that an SQLite file is durable, private, shared by processes, and refused where it is no store.
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { type EventStore, type Query, StoreRefused, StoreUnavailable } from "../../src/store/port.ts";
import { placeOf } from "../../src/store/sqlite/place.ts";
import { openSqliteStore } from "../../src/store/sqlite/store.ts";
import { createDatabaseThread } from "../../src/store/sqlite/thread.ts";
import { temporaryFolder } from "../support/servers/server-process.ts";
import { change, inShort, NOW, outcomesOf, readAll, until } from "../support/stores/appends.ts";
import type { Report } from "../support/stores/report-connections.ts";
import { type StoreProcess, startStoreProcess } from "../support/stores/store-process.ts";

let folder: ReturnType<typeof temporaryFolder>;
let file: string;
let stores: EventStore[];
let processes: StoreProcess[];

beforeEach(() => {
  folder = temporaryFolder();
  file = folder.file("userlock.db");
  stores = [];
  processes = [];
});

afterEach(async () => {
  for (const store of stores) await store.close();
  for (const one of processes) await one.stop();
  folder.remove();
});

async function open(path = file): Promise<EventStore> {
  const store = await openSqliteStore(path, "default");
  stores.push(store);
  return store;
}

async function start(options?: Parameters<typeof startStoreProcess>[0]): Promise<StoreProcess> {
  const one = await startStoreProcess(options);
  processes.push(one);
  return one;
}

const ALL: Query = { kind: "user", where: { all: [] }, order: { keys: [], descending: false }, offset: 0, limit: 1 };

/** Runs SQL on a file as another program would. */
function withFile<Result>(path: string, run: (database: DatabaseSync) => Result): Result {
  const database = new DatabaseSync(path);
  try {
    return run(database);
  } finally {
    database.close();
  }
}

describe("who may read", () => {
  test("the file and those beside it are their owner's alone, whatever the umask lets through", async () => {
    const umask = process.umask(0);
    try {
      const store = await open(folder.file("new/folder/userlock.db"));
      await store.append(change("u1"));
      const path = folder.file("new/folder");
      const modes = readdirSync(path).map((name) => [name, (statSync(`${path}/${name}`).mode & 0o777).toString(8)]);
      expect(modes).toEqual([
        ["userlock.db", "600"],
        ["userlock.db-shm", "600"],
        ["userlock.db-wal", "600"],
      ]);
      expect((statSync(path).mode & 0o777).toString(8)).toBe("700");
    } finally {
      process.umask(umask);
    }
  });
});

describe("what is on disk when an append is answered", () => {
  /** What the connections of a process say of themselves. */
  async function reportsOf(order: Parameters<StoreProcess["carryOut"]>[0]): Promise<Report[]> {
    const one = await startStoreProcess({ nodeOptions: ["--import", "./test/support/stores/report-connections.ts"] });
    const { streams } = await one.carryOut(order);
    const stderr = await one.stop();
    expect(streams).toEqual(order.streams.map(() => "appended"));
    return stderr
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  }

  test("every connection of every thread is in WAL mode and syncs each commit (synchronous = FULL)", async () => {
    const reports = await reportsOf({ file, streams: [{ id: "u1" }, { id: "u2" }], searches: [ALL] });
    const closing = reports.filter(({ moment }) => moment === "close");
    expect(closing.filter(({ thread }) => thread === "worker")).toHaveLength(2);
    expect(closing.filter(({ thread }) => thread === "main")).toHaveLength(2);
    const commits = reports.filter(({ moment, thread }) => moment === "commit" && thread === "worker");
    // Of two changes and of a search.
    expect(commits).toHaveLength(3);
    for (const { journalMode, synchronous } of [...closing, ...commits]) {
      expect({ journalMode, synchronous }).toEqual({ journalMode: "wal", synchronous: 2 });
    }
  });

  test("also on a file that was there before", async () => {
    await reportsOf({ file, streams: [{ id: "u1" }] });
    const reports = await reportsOf({ file, streams: [{ id: "u2" }] });
    for (const { journalMode, synchronous } of reports) {
      expect({ journalMode, synchronous }).toEqual({ journalMode: "wal", synchronous: 2 });
    }
    const [writeVersion, readVersion] = readFileSync(file).subarray(18, 20);
    expect({ writeVersion, readVersion }).toEqual({ writeVersion: 2, readVersion: 2 });
  });

  const COUNTED: Query = {
    kind: "user",
    where: { field: "state.lock.until", atMost: NOW },
    order: { keys: [{ field: "state.lock.until" }], descending: false },
    offset: 0,
    limit: 200,
  };
  const ENDED: Query = { ...COUNTED, total: false };
  const THREADS: [what: string, query: Query, threads: number][] = [
    ["the first locks that have ended", ENDED, 1],
    ["the last of them", { ...ENDED, order: { ...ENDED.order, descending: true } }, 2],
    ["those that come later", { ...ENDED, offset: 1 }, 2],
    ["more than a few of them", { ...ENDED, limit: 201 }, 2],
    ["how many they are", COUNTED, 2],
    ["the same in another order", { ...ENDED, order: { keys: [{ field: "created" }], descending: false } }, 2],
    ["the same among others", { ...ENDED, where: { any: [ENDED.where, { field: "id", is: "u1" }] } }, 2],
  ];
  test.each(THREADS)("a thread searches for %s, unless an index has just these", async (_, query, threads) => {
    const reports = await reportsOf({ file, streams: [{ id: "u1" }], searches: [query] });
    expect(reports.filter(({ moment, thread }) => moment === "close" && thread === "worker")).toHaveLength(threads);
  });

  const COMMITS: [what: string, order: { bytes?: number; commitRows?: number; count: number }, commits: number][] = [
    ["share one commit", { count: 500 }, 1],
    ["but no more than 1,000 of them", { count: 2_001 }, 3],
    ["nor more than the store was opened for", { count: 10, commitRows: 1 }, 10],
    ["nor more than 4,000,000 characters of them", { count: 5, bytes: 1_500_000 }, 3],
    ["unless it is one that is longer", { count: 3, bytes: 5_000_000 }, 3],
  ];
  test.each(COMMITS)("appends that arrive together %s", async (_, { count, bytes, ...bounds }, commits) => {
    const streams = Array.from({ length: count }, (_, index) => ({ id: `u${index}`, ...(bytes && { bytes }) }));
    const reports = await reportsOf({ file, streams, atOnce: true, ...bounds });
    expect(reports.filter(({ moment, thread }) => moment === "commit" && thread === "worker")).toHaveLength(commits);
  });
});

describe("several processes on one file", () => {
  test("start at once on none, ten times, and each stream is one process's", async () => {
    const both = [await start(), await start()];
    for (let round = 0; round < 10; round++) {
      const path = folder.file(`${round}.db`);
      const outcomes = await Promise.all(
        both.map((one, index) => one.carryOut({ file: path, streams: [{ id: `own ${index}` }, { id: "same" }] })),
      );
      expect(outcomes.map(({ refused }) => refused)).toEqual([undefined, undefined]);
      expect(outcomes.map(({ streams }) => streams?.[0])).toEqual(["appended", "appended"]);
      expect(outcomes.map(({ streams }) => streams?.[1]).sort()).toEqual(["appended", "conflict"]);
      expect(inShort(await readAll(await open(path))).sort()).toEqual(["own 0 1", "own 1 1", "same 1"]);
    }
  });

  test("a start waits, and longer than SQLite does, for who still reads a file that is not in WAL mode", async () => {
    const one = await start();
    await (await open()).close();
    withFile(file, (database) => database.exec("PRAGMA journal_mode = DELETE"));
    const reader = new DatabaseSync(file);
    try {
      reader.exec("BEGIN");
      reader.prepare("SELECT count(*) FROM events").get();
      const starting = one.carryOut({ file, streams: [{ id: "u1" }] });
      await sleep(5_300);
      reader.exec("COMMIT");
      expect(await starting).toEqual({ streams: ["appended"] });
    } finally {
      reader.close();
    }
  });

  test("an append of another process is hinted at, read, and a conflict", async () => {
    const [store, other] = [await open(), await start()];
    let hints = 0;
    const stop = store.onAppend(() => hints++);
    expect(await other.carryOut({ file, streams: [{ id: "u1" }] })).toEqual({ streams: ["appended"] });
    await until(() => hints > 0);
    stop();
    expect(inShort(await readAll(store))).toEqual(["u1 1"]);
    expect(await store.append(change("u1"))).toEqual({ outcome: "conflict" });
  });

  test("a write lock of another program is waited for; after 5 s the store is unavailable, and then works on", async () => {
    const store = await open();
    await store.append(change("before"));
    const other = new DatabaseSync(file);
    try {
      other.exec("BEGIN IMMEDIATE");
      const waiting = store.append(change("u1"));
      setTimeout(() => other.exec("COMMIT"), 200);
      expect((await waiting).outcome).toBe("appended");

      other.exec("BEGIN IMMEDIATE");
      const refused = store.append(change("u2"));
      expect((await store.load("user", "before"))?.version).toBe(1);
      await expect(refused).rejects.toBeInstanceOf(StoreUnavailable);
      other.exec("ROLLBACK");
    } finally {
      other.close();
    }
    expect(await store.load("user", "u2")).toBeUndefined();
    expect((await store.append(change("u2"))).outcome).toBe("appended");
  });
});

test("a thread that could not open the file is tried again by the next call", async () => {
  const store = await open();
  await store.append(change("u1"));
  renameSync(file, `${file}.away`);
  mkdirSync(file);
  await expect(store.search(ALL)).rejects.toBeInstanceOf(StoreUnavailable);
  rmdirSync(file);
  renameSync(`${file}.away`, file);
  expect((await store.search(ALL)).records).toHaveLength(1);
});

test("a thread that was closed before its first call takes none", async () => {
  await open();
  const thread = createDatabaseThread(file, "default", placeOf(file));
  await thread.close();
  await expect(thread.search(ALL)).rejects.toBeInstanceOf(StoreUnavailable);
  await thread.close();
});

describe("a file that is no store", () => {
  /** Opening it is refused with a sentence that names what is wrong, and leaves everything as it was. */
  async function expectRefused(path: string, words: RegExp): Promise<void> {
    const isFile = statSync(path, { throwIfNoEntry: false })?.isFile();
    const before = isFile ? readFileSync(path) : undefined;
    const names = readdirSync(folder.path);
    const refusal = await open(path).then(
      () => undefined,
      (error) => error,
    );
    expect(refusal).toBeInstanceOf(StoreRefused);
    expect(refusal.message).toMatch(words);
    expect(readdirSync(folder.path)).toEqual(names);
    if (before) expect(readFileSync(path).equals(before)).toBe(true);
  }

  test("one that a newer version has written", async () => {
    await (await open()).close();
    withFile(file, (database) => database.exec("PRAGMA user_version = 1000"));
    await expectRefused(file, /version 1000.*newer userlock.*\.$/);
  });

  test("another program's", async () => {
    withFile(file, (database) => database.exec("CREATE TABLE users (id INTEGER PRIMARY KEY)"));
    await expectRefused(file, /another program.*\.$/);
  });

  test("another program's that is empty but has a version", async () => {
    withFile(file, (database) => database.exec("PRAGMA user_version = 1"));
    await expectRefused(file, /another program.*\.$/);
  });

  test("another program's that is marked as such", async () => {
    withFile(file, (database) => database.exec("CREATE TABLE users (id INTEGER); PRAGMA application_id = 7"));
    await expectRefused(file, /another program.*\.$/);
  });

  test("a text", async () => {
    writeFileSync(file, "This is a text, and has been one for more than a hundred bytes. ".repeat(20));
    await expectRefused(file, /not a database/);
  });

  test("a folder", async () => {
    mkdirSync(file);
    await expectRefused(file, /cannot be opened/);
  });

  test("one in a folder that is a file", async () => {
    writeFileSync(file, "");
    await expectRefused(`${file}/userlock.db`, /cannot be opened/);
  });

  test("one in a folder that cannot be written, and one that cannot be written itself", async () => {
    mkdirSync(folder.file("closed"));
    writeFileSync(folder.file("closed/readable.db"), "", { mode: 0o444 });
    chmodSync(folder.path, 0o755);
    chmodSync(folder.file("closed"), 0o555);
    const nobody = await start({ asNobody: true });
    for (const name of ["closed/new.db", "closed/readable.db", "closed/new/new.db"]) {
      const { refused } = await nobody.carryOut({ file: folder.file(name), streams: [] });
      expect(refused).toEqual(["StoreRefused", expect.stringMatching(/cannot be opened for writing/)]);
    }
    expect(readdirSync(folder.file("closed"))).toEqual(["readable.db"]);
  });
});

describe("the WAL", () => {
  const pagesOf = () => statSync(`${file}-wal`).size / 4_120;

  test("stays within bounds while changes go on", async () => {
    const store = await open();
    for (let round = 0; round < 40; round++) {
      const state = { filling: "x".repeat(3_000) };
      const appends = Array.from({ length: 1_000 }, (_, n) => change(`u${round} ${n}`, { state }));
      expect(new Set(await outcomesOf(appends.map(store.append)))).toEqual(new Set(["appended"]));
    }
    // 40,000 changes, each of which wrote more than a page.
    expect(pagesOf()).toBeLessThan(20_000);
  });

  test("which a reader has kept from being emptied is emptied and short again, once he has gone", async () => {
    const store = await open();
    const other = new DatabaseSync(file);
    const fill = async (name: string) => {
      for (let round = 0; round < 5; round++) {
        const state = { filling: "x".repeat(20_000) };
        await Promise.all(
          Array.from({ length: 1_000 }, (_, n) => store.append(change(`${name}${round} ${n}`, { state }))),
        );
      }
    };
    try {
      other.exec("BEGIN");
      other.prepare("SELECT count(*) FROM events").get();
      await fill("while he reads ");
      expect(pagesOf()).toBeGreaterThan(25_000);
      other.exec("COMMIT");
    } finally {
      other.close();
    }
    await fill("later ");
    expect(pagesOf()).toBeLessThan(25_000);
  });
});

describe("a store without room", () => {
  test("is unavailable for what does not fit, keeps nothing of it, and takes what does", async () => {
    const limited = await start({ limit: 2_000_000 });
    const streams = [{ id: "before" }, { id: "too big", bytes: 20_000_000 }, { id: "after" }];
    expect(await limited.carryOut({ file, streams })).toEqual({
      streams: ["appended", "StoreUnavailable", "appended"],
    });
    const store = await open();
    expect(inShort(await readAll(store))).toEqual(["before 1", "after 1"]);
    expect(await store.load("user", "too big")).toBeUndefined();
    expect(withFile(file, (database) => database.prepare("PRAGMA integrity_check").get())).toEqual({
      integrity_check: "ok",
    });
  });

  test("refuses a change where 20,000 wait, and commits those", async () => {
    const store = await open();
    const accepted = Array.from({ length: 20_000 }, (_, index) => store.append(change(`u${index}`)));
    await expect(store.append(change("one too many"))).rejects.toBeInstanceOf(StoreUnavailable);
    expect(new Set(await outcomesOf(accepted))).toEqual(new Set(["appended"]));
    expect(await store.load("user", "one too many")).toBeUndefined();
    expect((await store.append(change("later"))).outcome).toBe("appended");
  });
});

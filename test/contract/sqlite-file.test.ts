// Proves that an SQLite file is durable, private, shared by processes, and refused if it is not a store.
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
import { type EventStore, StoreRefused, StoreUnavailable } from "../../src/store/port.ts";
import type { Query } from "../../src/store/query.ts";
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

describe("access to the SQLite file", () => {
  test("is limited to the owner, also for its WAL and shared memory, with any umask", async () => {
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

describe("the SQLite connections of a process", () => {
  /** The reports of a process's connections on their settings. */
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

  test("use WAL mode and sync each commit (synchronous = FULL) in every thread", async () => {
    const reports = await reportsOf({ file, streams: [{ id: "u1" }, { id: "u2" }], searches: [ALL] });
    const closing = reports.filter(({ moment }) => moment === "close");
    expect(closing.filter(({ thread }) => thread === "worker")).toHaveLength(2);
    expect(closing.filter(({ thread }) => thread === "main")).toHaveLength(2);
    const commits = reports.filter(({ moment, thread }) => moment === "commit" && thread === "worker");
    // Connections of the two changes and of the search.
    expect(commits).toHaveLength(3);
    for (const { journalMode, synchronous } of [...closing, ...commits]) {
      expect({ journalMode, synchronous }).toEqual({ journalMode: "wal", synchronous: 2 });
    }
  });

  test("use WAL mode and sync each commit on an existing file too", async () => {
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
    ["the first ended locks", ENDED, 1],
    ["the last ended locks", { ...ENDED, order: { ...ENDED.order, descending: true } }, 2],
    ["a later page of ended locks", { ...ENDED, offset: 1 }, 2],
    ["more than 200 ended locks", { ...ENDED, limit: 201 }, 2],
    ["ended locks with their total", COUNTED, 2],
    ["ended locks in another order", { ...ENDED, order: { keys: [{ field: "created" }], descending: false } }, 2],
    ["ended locks among other users", { ...ENDED, where: { any: [ENDED.where, { field: "id", is: "u1" }] } }, 2],
  ];
  test.each(THREADS)(
    "search for ended locks by an index in the first thread, and for anything else in a second: %s",
    async (_, query, threads) => {
      const reports = await reportsOf({ file, streams: [{ id: "u1" }], searches: [query] });
      expect(reports.filter(({ moment, thread }) => moment === "close" && thread === "worker")).toHaveLength(threads);
    },
  );

  const COMMITS: [what: string, order: { bytes?: number; commitRows?: number; count: number }, commits: number][] = [
    ["share one commit", { count: 500 }, 1],
    ["share a commit of at most 1,000 appends", { count: 2_001 }, 3],
    ["share a commit of at most `commitRows` appends", { count: 10, commitRows: 1 }, 10],
    ["share a commit of at most 4,000,000 characters", { count: 5, bytes: 1_500_000 }, 3],
    ["are committed alone if each is longer than that", { count: 3, bytes: 5_000_000 }, 3],
  ];
  test.each(COMMITS)("concurrent appends that %s", async (_, { count, bytes, ...bounds }, commits) => {
    const streams = Array.from({ length: count }, (_, index) => ({ id: `u${index}`, ...(bytes && { bytes }) }));
    const reports = await reportsOf({ file, streams, atOnce: true, ...bounds });
    expect(reports.filter(({ moment, thread }) => moment === "commit" && thread === "worker")).toHaveLength(commits);
  });
});

describe("processes that share an SQLite file", () => {
  test("can start at once without a file, and only one of them creates each stream", async () => {
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

  test("wait at start for a reader of a file that is not in WAL mode, longer than SQLite's own timeout", async () => {
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

  test("get hints of each other's appends, read them, and see conflicts", async () => {
    const [store, other] = [await open(), await start()];
    let hints = 0;
    const stop = store.onAppend(() => hints++);
    expect(await other.carryOut({ file, streams: [{ id: "u1" }] })).toEqual({ streams: ["appended"] });
    await until(() => hints > 0);
    stop();
    expect(inShort(await readAll(store))).toEqual(["u1 1"]);
    expect(await store.append(change("u1"))).toEqual({ outcome: "conflict" });
  });

  test("wait up to 5 s for a write lock of another program, then fail with StoreUnavailable, and work afterwards", async () => {
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

test("a thread that could not open the file tries again at the next call", async () => {
  const store = await open();
  await store.append(change("u1"));
  renameSync(file, `${file}.away`);
  mkdirSync(file);
  await expect(store.search(ALL)).rejects.toBeInstanceOf(StoreUnavailable);
  rmdirSync(file);
  renameSync(`${file}.away`, file);
  expect((await store.search(ALL)).records).toHaveLength(1);
});

test("a thread that was closed before its first call refuses calls", async () => {
  await open();
  const thread = createDatabaseThread(file, "default", placeOf(file));
  await thread.close();
  await expect(thread.search(ALL)).rejects.toBeInstanceOf(StoreUnavailable);
  await thread.close();
});

describe("a file that is not a store is refused", () => {
  /** Expects that opening fails with a sentence about the cause, and changes nothing on disk. */
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

  test("if a newer version has written it", async () => {
    await (await open()).close();
    withFile(file, (database) => database.exec("PRAGMA user_version = 1000"));
    await expectRefused(file, /version 1000.*newer userlock.*\.$/);
  });

  test("if it is another program's database", async () => {
    withFile(file, (database) => database.exec("CREATE TABLE users (id INTEGER PRIMARY KEY)"));
    await expectRefused(file, /another program.*\.$/);
  });

  test("if it is another program's empty database with a version", async () => {
    withFile(file, (database) => database.exec("PRAGMA user_version = 1"));
    await expectRefused(file, /another program.*\.$/);
  });

  test("if it has another program's application id", async () => {
    withFile(file, (database) => database.exec("CREATE TABLE users (id INTEGER); PRAGMA application_id = 7"));
    await expectRefused(file, /another program.*\.$/);
  });

  test("if it is a text file", async () => {
    writeFileSync(file, "This is a text, and has been one for more than a hundred bytes. ".repeat(20));
    await expectRefused(file, /not a database/);
  });

  test("if it is a folder", async () => {
    mkdirSync(file);
    await expectRefused(file, /cannot be opened/);
  });

  test("if its folder is a file", async () => {
    writeFileSync(file, "");
    await expectRefused(`${file}/userlock.db`, /cannot be opened/);
  });

  test("if its folder or the file itself is not writable", async () => {
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

describe("the WAL of an SQLite file", () => {
  const pagesOf = () => statSync(`${file}-wal`).size / 4_120;

  test("stays below 20,000 pages during 40,000 changes", async () => {
    const store = await open();
    for (let round = 0; round < 40; round++) {
      const state = { filling: "x".repeat(3_000) };
      const appends = Array.from({ length: 1_000 }, (_, n) => change(`u${round} ${n}`, { state }));
      expect(new Set(await outcomesOf(appends.map(store.append)))).toEqual(new Set(["appended"]));
    }
    // Each of the 40,000 changes wrote more than a page.
    expect(pagesOf()).toBeLessThan(20_000);
  });

  test("shrinks again after a reader that prevented it has finished", async () => {
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
      await fill("during the read ");
      expect(pagesOf()).toBeGreaterThan(25_000);
      other.exec("COMMIT");
    } finally {
      other.close();
    }
    await fill("later ");
    expect(pagesOf()).toBeLessThan(25_000);
  });
});

describe("an SQLite store without room", () => {
  test("fails an append that does not fit, keeps nothing of it, and accepts smaller ones", async () => {
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

  test("refuses a change while 20,000 wait, and commits those", async () => {
    const store = await open();
    const accepted = Array.from({ length: 20_000 }, (_, index) => store.append(change(`u${index}`)));
    await expect(store.append(change("one too many"))).rejects.toBeInstanceOf(StoreUnavailable);
    expect(new Set(await outcomesOf(accepted))).toEqual(new Set(["appended"]));
    expect(await store.load("user", "one too many")).toBeUndefined();
    expect((await store.append(change("later"))).outcome).toBe("appended");
  });
});

import { existsSync } from "node:fs";
import type { Actor } from "../../domain/aggregate.ts";
import { coalesce } from "../coalesce.ts";
import { fromCursor, notOfThisLog } from "../cursor.ts";
import { INDEXED_FIELDS } from "../indexed-fields.ts";
import { COMMIT_ROWS, MAX_BATCH_LENGTH, MAX_WAITING, READS_AT_ONCE, SEARCHES_AT_ONCE } from "../limits.ts";
import { noStoreAt } from "../migrate.ts";
import {
  type AppendResult,
  type EventStore,
  type Link,
  LOG_START,
  type StoreObserver,
  StoreUnavailable,
} from "../port.ts";
import type { Query } from "../query.ts";
import { IN_MEMORY } from "../settings.ts";
import { type KeyedRow, lengthOf, toKeyedRow } from "./append.ts";
import { prepareFile } from "./connections.ts";
import { type Database, openDatabase } from "./database.ts";
import { createPlaceCheck, placeOf, toDamage } from "./place.ts";
import { createCheckpoints, createDatabaseThread, createThreads, type DatabaseThread } from "./thread.ts";

/** How long a commit waits while more appends arrive, milliseconds. */
const MAX_GATHER_MS = 2;
/** How often commits of other processes are checked while there are listeners, milliseconds. */
const POLL_MS = 25;
/** The maximum number of rows of a search on the event loop. */
const LOOK_UP_ROWS = 200;

interface Waiting {
  row: KeyedRow;
  /** For the observer. */
  actor: Actor;
  resolve(result: AppendResult): void;
  reject(error: unknown): void;
}

/**
 * Opens a store in an SQLite file (or in memory, for tests and demonstrations), for one instance. Processes on one
 * machine may share the file. Creates the file if missing, unless it `mustBeThere`. One commit takes at most
 * `commitRows` appends. Rejects with StoreRefused if the file is missing or cannot be used.
 */
export async function openSqliteStore(
  file: string,
  instance: string,
  {
    mustBeThere = false,
    commitRows = COMMIT_ROWS,
    observer,
  }: { mustBeThere?: boolean; commitRows?: number | undefined; observer?: StoreObserver | undefined } = {},
): Promise<EventStore> {
  if (mustBeThere && !existsSync(file)) throw noStoreAt(file);
  if (file === IN_MEMORY) {
    const database = openDatabase(file, instance);
    return createStore(
      database,
      {
        appendAll: async (rows) => database.appendAll(rows),
        lookUp: async (query) => database.search(query),
        search: async (query) => database.search(query),
        count: async (query) => database.count(query),
        read: async (query) => database.read(query),
        holders: async (query) => database.holders(query),
        keep: async (receipt, time) => database.keep(receipt, time),
        prove: async () => database.prove(),
        close: async () => {},
      },
      { file, checkPlace: () => {}, commitRows, observer },
    );
  }
  await prepareFile(file);
  const database = openDatabase(file, instance);
  const place = placeOf(file);
  const create = () => createDatabaseThread(file, instance, place);
  const writer = create();
  writer.start();
  // For rules, which changes wait for.
  const looker = create();
  const searchers = createThreads(SEARCHES_AT_ONCE, create);
  // For auditors and watchers, which no change waits for.
  const readers = createThreads(READS_AT_ONCE, create);
  const hasCommitted = createCheckpoints({ aside: looker.checkpoint, between: writer.checkpoint });
  return createStore(
    database,
    {
      async appendAll(rows) {
        const results = await writer.appendAll(rows);
        hasCommitted(results.length);
        return results;
      },
      lookUp: looker.search,
      search: searchers.search,
      count: searchers.count,
      read: readers.read,
      holders: readers.holders,
      keep: writer.keep,
      async prove() {
        await writer.prove();
        hasCommitted(1);
      },
      close: async () => {
        await Promise.all([writer, looker, searchers, readers].map((threads) => threads.close()));
      },
    },
    { file, checkPlace: createPlaceCheck(file, place), commitRows, observer },
  );
}

type SlowPart = Omit<DatabaseThread, "checkpoint" | "start" | "load"> & { lookUp: DatabaseThread["search"] };

/** `slow` does slow work, in threads if there is a file. */
function createStore(
  database: Database,
  slow: SlowPart,
  {
    file,
    checkPlace,
    commitRows,
    observer,
  }: { file: string; checkPlace: () => void; commitRows: number; observer: StoreObserver | undefined },
): EventStore {
  const listeners = new Set<() => void>();
  const byId = together(
    ({ kind, id }: { kind: string; id: string }) => database.load(kind, id),
    ({ kind, id }) => `${kind}\0${id}`,
  );
  const byClaim = together(database.loadByClaim, (claim) => claim);
  const byClaimWith = together(
    ({ claim, link }: { claim: string; link: Link }) => database.loadByClaimWith(claim, link),
    ({ claim, link }) => [link.kind, link.field, claim].join("\0"),
  );
  let waiting: Waiting[] = [];
  let inCommit = 0;
  let committing: Promise<void> | undefined;
  let closing: Promise<void> | undefined;
  let poll: NodeJS.Timeout | undefined;
  /** Set once damaged pages were found, for good. */
  let damage: Error | undefined;

  function unavailable(error: unknown): StoreUnavailable {
    const found = toDamage(error instanceof StoreUnavailable ? error.cause : error, file);
    if (found) damage = found;
    return error instanceof StoreUnavailable && !found ? error : new StoreUnavailable(found ?? error);
  }

  /** Commits batches until nothing waits. */
  async function commitWaiting(): Promise<void> {
    while (waiting.length > 0) {
      await untilNoneArrives();
      const batch = nextBatch();
      inCommit = batch.length;
      const started = performance.now();
      try {
        checkPlace();
        const results = await slow.appendAll(batch.map(({ row }) => row));
        for (const [place, result] of results.entries()) batch[place]?.resolve(result);
        notify();
      } catch (error) {
        for (const { reject } of batch) reject(unavailable(error));
      } finally {
        observer?.committed(batch.length, performance.now() - started, batch);
        inCommit = 0;
      }
    }
    committing = undefined;
  }

  /** A lone append waits one event-loop tick. While more arrive in each tick, they share the commit. */
  async function untilNoneArrives(): Promise<void> {
    const end = performance.now() + MAX_GATHER_MS;
    for (let seen = 0; seen < waiting.length && seen < commitRows && performance.now() < end; ) {
      seen = waiting.length;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  function nextBatch(): Waiting[] {
    let count = 0;
    let length = 0;
    for (const { row } of waiting.slice(0, commitRows)) {
      length += lengthOf(row);
      if (count > 0 && length > MAX_BATCH_LENGTH) break;
      count++;
    }
    const batch = waiting.slice(0, count);
    waiting = waiting.slice(count);
    return batch;
  }

  function notify(): void {
    for (const listener of listeners) listener();
  }

  function watchOtherProcesses(): void {
    let seen: number | undefined;
    const look = () => {
      let now: number;
      try {
        now = database.dataVersion();
      } catch {
        return; // No hint. Readers get the error.
      }
      if (seen !== undefined && now !== seen) notify();
      seen = now;
    };
    look();
    poll = setInterval(look, POLL_MS);
    poll.unref();
  }

  /** Runs a read unless the store is closed or the signal aborted. */
  async function whileOpen<Result>(run: () => Result | Promise<Result>, signal?: AbortSignal): Promise<Result> {
    if (closing) throw isClosed();
    signal?.throwIfAborted();
    try {
      checkPlace();
      return await run();
    } catch (error) {
      throw signal?.aborted ? signal.reason : unavailable(error);
    }
  }

  /** Makes a look-up that shares a transaction with concurrent ones. */
  function together<Key, Found>(find: (key: Key) => Found | undefined, textOf: (key: Key) => string) {
    const findAll = (keys: readonly Key[]) => whileOpen(() => database.inOneTransaction(() => keys.map(find)));
    return coalesce(findAll, textOf);
  }

  async function close(): Promise<void> {
    clearInterval(poll);
    await committing;
    await slow.close();
    database.close();
  }

  return {
    async append(append) {
      if (closing) throw isClosed();
      if (waiting.length >= MAX_WAITING) throw new StoreUnavailable("too many appends are waiting");
      const row = toKeyedRow(append);
      return new Promise((resolve, reject) => {
        waiting.push({ row, actor: append.actor, resolve, reject });
        committing ??= commitWaiting();
      });
    },
    load: (kind, id) => byId({ kind, id }),
    loadByClaim: byClaim,
    loadByClaimWith: (claim, link) => byClaimWith({ claim, link }),
    async read(query, signal) {
      const [position = 0n, time = 0n] = fromCursor(query.from ?? LOG_START, 2);
      if (position > 0n && !(await whileOpen(() => database.has(position, time), signal))) throw notOfThisLog();
      // A filtered read may scan much of the log.
      return whileOpen(() => (query.where ? slow.read(query, signal) : database.read(query)), signal);
    },
    holders: (query, signal) => whileOpen(() => slow.holders(query, signal), signal),
    head: () => whileOpen(() => database.head()),
    loadReceipt: (key, time) => whileOpen(() => database.loadReceipt(key, time)),
    keep: (receipt, time) => whileOpen(() => slow.keep(receipt, time)),
    search: (query, { signal, isLookUp } = {}) =>
      whileOpen(() => {
        if (isByIndexedNumber(query)) return database.search(query);
        return isLookUp ? slow.lookUp(query, signal) : slow.search(query, signal);
      }, signal),
    count: (query, signal) => whileOpen(() => slow.count(query, signal), signal),
    check: () =>
      whileOpen(async () => {
        if (damage) throw damage;
        await slow.prove();
      }),
    onAppend(listener) {
      listeners.add(listener);
      if (!poll && !closing) watchOtherProcesses();
      return () => {
        listeners.delete(listener);
        if (listeners.size > 0) return;
        clearInterval(poll);
        poll = undefined;
      };
    },
    usage: () => ({ waiting: waiting.length + inCommit, pools: [] }),
    close() {
      closing ??= close();
      return closing;
    },
  };
}

/**
 * Whether the query wants the first few streams by an indexed number, up to a value, such as the expiry of locks. The
 * index has this order, so nothing else is read.
 */
function isByIndexedNumber({ where, order: { keys, descending }, offset, limit, total }: Query): boolean {
  const isPart = total === false && offset === 0 && limit <= LOOK_UP_ROWS;
  const [key, ...others] = keys;
  if (!isPart || descending || others.length > 0 || !("atMost" in where)) return false;
  const isInOrder = key !== undefined && "field" in key && key.field === where.field;
  return isInOrder && INDEXED_FIELDS.some(({ field, type }) => type === "number" && field === where.field);
}

const isClosed = () => new StoreUnavailable("the store is closed");

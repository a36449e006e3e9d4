import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { DatabaseError } from "pg";
import { isText } from "../append-row.ts";
import { COMMIT_ROWS, READS_AT_ONCE, SEARCHES_AT_ONCE } from "../limits.ts";
import { noStoreAt } from "../migrate.ts";
import { type EventStore, type Receipt, type StoreObserver, StoreRefused, StoreUnavailable } from "../port.ts";
import { addressOf } from "../settings.ts";
import { createWriter } from "./append.ts";
import { backOff, type Connections, newClient, openConnections, troubleOf } from "./connections.ts";
import { createHints } from "./hints.ts";
import { createLoads, type HolderRow, holdersStatement, type StreamRow, toRecord } from "./load.ts";
import { headStatement, type LastRow, readPage, toHead } from "./log.ts";
import { isCut, type OnPage } from "./page.ts";
import { migrate } from "./schema.ts";
import { type CountRow, countStatement, searchStatement, toCounts } from "./search.ts";

/** How long a start waits for the server, milliseconds. */
const START_TROUBLE_MS = 5_000;
/** How long closing waits for dead connections, milliseconds. */
const CLOSE_TIMEOUT_MS = 5_000;
/** How long closing waits for accepted appends, milliseconds: longer than an append is retried. */
const DRAIN_TIMEOUT_MS = 15_000;
/** How long a check is retried without a connection, milliseconds. Its caller needs a quick answer. */
const CHECK_TROUBLE_MS = 1_000;

/**
 * Opens a store in a PostgreSQL database (14 or newer), for one instance. Processes on any number of machines may share
 * it. Creates the store if missing, unless it `mustBeThere`. One commit takes at most `commitRows` appends. Rejects
 * with StoreRefused if the database cannot be used or the store is missing. The message never has the URL's password.
 */
export async function openPostgresStore(
  url: string,
  instance: string,
  {
    mustBeThere = false,
    commitRows = COMMIT_ROWS,
    observer,
  }: { mustBeThere?: boolean; commitRows?: number | undefined; observer?: StoreObserver | undefined } = {},
): Promise<EventStore> {
  const schema = await prepareDatabase(url, instance, mustBeThere);

  const writes = openConnections(url, { schema, connections: 2, statementMs: 5_000, byKey: true });
  const reads = openConnections(url, { schema, connections: 4, statementMs: 5_000, byKey: true });
  const long = { schema, statementMs: 20_000 };
  const searches = openConnections(url, { ...long, connections: SEARCHES_AT_ONCE, byKey: false }, reads);
  // For rules, which changes wait for.
  const lookUps = openConnections(url, { ...long, connections: 2, byKey: false }, reads);
  // For auditors and watchers, which no change waits for.
  const logs = openConnections(url, { ...long, connections: READS_AT_ONCE, byKey: true }, reads);
  const pools = { writes, reads, searches, look_ups: lookUps, logs };
  const hints = createHints({ url, connections: reads, instance });
  const writer = createWriter({ connections: writes, instance, commitRows, onCommit: hints.give, observer });
  const loads = createLoads(reads, instance);
  /** Reads without an answer yet. */
  const unanswered = new Set<Promise<unknown>>();
  let closing: Promise<void> | undefined;

  /** Runs a read unless the store is closed. */
  async function whileOpen<Result>(run: () => Promise<Result>): Promise<Result> {
    if (closing) throw new StoreUnavailable("the store is closed");
    const answer = run();
    unanswered.add(answer);
    try {
      return await answer;
    } finally {
      unanswered.delete(answer);
    }
  }

  async function close(): Promise<void> {
    const within = (milliseconds: number, work: Promise<unknown>[]) =>
      Promise.race([Promise.all(work), sleep(milliseconds, undefined, { ref: false })]);
    await within(DRAIN_TIMEOUT_MS, [writer.drained(), Promise.allSettled(unanswered)]);
    await within(CLOSE_TIMEOUT_MS, [hints.close()]);
    await within(
      CLOSE_TIMEOUT_MS,
      Object.values(pools).map((pool) => pool.close()),
    );
  }

  return {
    async append(append) {
      if (closing) throw new StoreUnavailable("the store is closed");
      return writer.append(append);
    },
    load: (kind, id) => whileOpen(async () => (isText(kind + id) ? loads.byId({ kind, id }) : undefined)),
    loadByClaim: (claim) => whileOpen(async () => (isText(claim) ? (await loads.byClaim(claim))?.record : undefined)),
    loadByClaimWith: (claim, link) => whileOpen(async () => (isText(claim) ? loads.byClaim(claim, link) : undefined)),
    search: (query, { signal, isLookUp } = {}) =>
      whileOpen(async () => {
        const pool = isLookUp ? lookUps : searches;
        const rows = await pool.query<StreamRow & OnPage & { total: number }>(searchStatement(instance, query), {
          signal,
        });
        const records = rows.filter(({ place }) => place !== null).map(toRecord);
        return { records, isCut: isCut(rows), total: rows[0]?.total ?? 0 };
      }),
    count: (query, signal) =>
      whileOpen(async () => toCounts(await searches.query<CountRow>(countStatement(instance, query), { signal }))),
    read: (query, signal) =>
      // A filtered read may scan much of the log.
      whileOpen(() =>
        readPage((statement) => (query.where ? logs : reads).query(statement, { signal }), instance, query),
      ),
    holders: (query, signal) =>
      whileOpen(async () => {
        const rows = await logs.query<HolderRow>(holdersStatement(instance, query), { signal });
        const holders = rows.map((row) => ({ claim: row.claim, record: toRecord(row) }));
        return { holders, hasMore: isCut(rows) || rows.length === query.limit };
      }),
    head: () => whileOpen(async () => toHead(await reads.query<LastRow>(headStatement(instance)))),
    loadReceipt: (key, time) =>
      whileOpen(async () => {
        if (!isText(key)) return undefined;
        const receipt = await loads.receipt(key);
        return receipt && receipt.expires > time ? receipt : undefined;
      }),
    keep: (receipt, time) => whileOpen(() => keep(reads, instance, receipt, time)),
    check: () =>
      whileOpen(async () => {
        // A receipt that no call can have, over the last write.
        const text = `
          INSERT INTO receipts (instance, key, fingerprint, answer, expires, append)
          VALUES ($1, 'userlock: proof of writing', '', '', $2, $3)
          ON CONFLICT (instance, key) DO UPDATE SET append = excluded.append`;
        const statement = { text, values: [instance, Number.MAX_SAFE_INTEGER, randomUUID()] };
        await reads.query(statement, { within: CHECK_TROUBLE_MS });
      }),
    onAppend(listener) {
      return closing ? () => {} : hints.listen(listener);
    },
    usage: () => ({
      waiting: writer.waiting(),
      pools: Object.entries(pools).map(([name, pool]) => ({ name, ...pool.usage() })),
    }),
    close() {
      closing ??= close();
      return closing;
    },
  };
}

/**
 * Upgrades the tables and resolves with their schema. Waits a while for a starting server. Rejects with StoreRefused.
 */
async function prepareDatabase(url: string, instance: string, mustBeThere: boolean): Promise<string> {
  const deadline = performance.now() + START_TROUBLE_MS;
  for (let attempt = 0; ; attempt++) {
    try {
      const client = newClient(url);
      client.on("error", () => {});
      try {
        await client.connect();
        const schema = await migrate(client, instance, mustBeThere);
        if (schema === undefined) throw noStoreAt(`postgres://${addressOf(url)}`);
        return schema;
      } finally {
        await client.end().catch(() => {});
      }
    } catch (error) {
      if (error instanceof StoreRefused) throw error;
      // Waiting does not fix a wrong password or name.
      const isWrong = error instanceof DatabaseError && /^(28|3D)/.test(error.code ?? "");
      const isAway = troubleOf(error) === "connection" && !isWrong;
      if (!isAway || performance.now() > deadline) throw new StoreRefused(refusal(url, error));
      await backOff(attempt);
    }
  }
}

function refusal(url: string, error: unknown): string {
  const { code, message } = error as { code?: string; message: string };
  const reason = message || code || "no answer";
  return error instanceof DatabaseError
    ? `The PostgreSQL database at ${addressOf(url)} cannot be used as a store: ${reason}`
    : `The PostgreSQL server at ${addressOf(url)} cannot be reached: ${reason}`;
}

/** The id makes a retry safe when the answer was lost. */
async function keep(connections: Connections, instance: string, receipt: Receipt, time: number): Promise<boolean> {
  const { key, fingerprint, answer, expires } = receipt;
  const kept = await connections.query({
    name: "keep",
    text: `INSERT INTO receipts AS kept (instance, key, fingerprint, answer, expires, append)
      VALUES ($1, $2, $3, $4, $5, $6)
      ON CONFLICT (instance, key) DO UPDATE SET
        fingerprint = excluded.fingerprint, answer = excluded.answer, expires = excluded.expires, append = excluded.append
      WHERE kept.expires <= $7 OR kept.append = excluded.append
      RETURNING key`,
    values: [instance, key, fingerprint, Buffer.from(answer), expires, randomUUID(), time],
  });
  return kept.length > 0;
}

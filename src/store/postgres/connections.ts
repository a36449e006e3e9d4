import { setTimeout as sleep } from "node:timers/promises";
import {
  Client,
  type ClientBase,
  type ClientConfig,
  DatabaseError,
  Pool,
  type QueryResultRow,
  TypeOverrides,
  types,
} from "pg";
import { StoreUnavailable } from "../port.ts";

const CONNECT_TIMEOUT_MS = 5_000;
/** How long a statement waits for a lock; a server that lost its connection may hold it that long. */
const LOCK_TIMEOUT_MS = 4_000;
const IDLE_IN_TRANSACTION_MS = 10_000;
/** How much longer than the server itself its answer is waited for, milliseconds. */
const GRACE_MS = 1_000;
/** How long a read is tried again while there is no connection, milliseconds. */
const READ_TROUBLE_MS = 5_000;
/** How long a connection is kept that nobody needs, milliseconds. */
const IDLE_MS = 60_000;
/** How soon a statement that did not end is asked to end again, milliseconds. */
const CANCEL_AGAIN_MS = 500;
/** Whole numbers are safe ones: counts, versions and times. */
const TYPES = new TypeOverrides();
TYPES.setTypeParser(types.builtins.INT8, Number);

/** What is wrong where a statement failed. */
type Trouble =
  /** The server was not reached, or has not answered: whether it was carried out is not known. */
  | "connection"
  /** It met another transaction, and may be run again. */
  | "collision"
  /** It took too long, and was not carried out. */
  | "timeout"
  /** The server does not take a value that is in it. */
  | "value"
  /** It will not go better another time. */
  | "statement";

export function troubleOf(error: unknown): Trouble {
  if (!(error instanceof DatabaseError)) return "connection";
  const code = error.code ?? "";
  // https://www.postgresql.org/docs/current/errcodes-appendix.html
  if (/^(57014|55P03)$/.test(code)) return "timeout";
  // No connection, resources, or right to connect; stopped by the operator; a standby (25006).
  if (/^(08|28|3D|53|57)|^25006$/.test(code)) return "connection";
  if (/^40|^23505$/.test(code)) return "collision";
  return /^(21|22|23|54)/.test(code) ? "value" : "statement";
}

/** How the statements of a pool are planned and bounded. */
interface PoolSettings {
  /** The only one in which names are looked up, quoted: another one's tables are another store. */
  schema: string;
  connections: number;
  statementMs: number;
  /** Each statement reads a few rows by a key: by the index, however small the tables were when it was planned. */
  byKey: boolean;
}

export interface Connections {
  /**
   * Runs one statement, once. Rejects with what the driver rejects with, or with the reason of the signal, which ends
   * the statement on the server.
   */
  run<Row extends QueryResultRow>(statement: Statement, signal?: AbortSignal): Promise<Row[]>;
  /**
   * Runs a statement that may be carried out twice: again where there is no connection, for as many milliseconds (5,000
   * if not told). Rejects with StoreUnavailable, or with the reason of the signal.
   */
  ask<Row extends QueryResultRow>(
    statement: Statement,
    options?: { within?: number; signal?: AbortSignal | undefined },
  ): Promise<Row[]>;
  close(): Promise<void>;
}

export interface Statement {
  /** It is then prepared once on each connection. */
  name?: string;
  text: string;
  values: unknown[];
}

/**
 * A pool that always has a server that takes writes, for a standby's reads may be old. Its statements can be ended by a
 * signal if it is given another pool, by which the server is told so.
 */
export function openConnections(
  url: string,
  { schema, connections, statementMs, byKey }: PoolSettings,
  canceller?: Connections,
): Connections {
  const settings = Object.entries({
    search_path: schema,
    statement_timeout: statementMs,
    lock_timeout: LOCK_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
    default_transaction_isolation: "read committed",
    jit: "off",
    ...(byKey && { enable_seqscan: "off", enable_bitmapscan: "off" }),
  });
  /** The server's processes: the driver knows a pooler's, if there is one between. */
  const processes = new WeakMap<ClientBase, number>();
  const pool = new Pool({
    ...clientConfig(url),
    max: connections,
    idleTimeoutMillis: IDLE_MS,
    query_timeout: statementMs + GRACE_MS,
    // It is awaited, whatever its type says.
    onConnect: async (client) => {
      processes.set(client, await setUp(client, settings));
    },
  });
  // An idle connection that broke: the pool drops it, and nobody waits for it.
  pool.on("error", () => {});

  /** Ends the client's statement. It asks again until that is over: a statement that has not begun does not hear of it. */
  async function cancel(client: ClientBase, over: AbortSignal): Promise<void> {
    const statement = { text: "SELECT pg_cancel_backend($1)", values: [processes.get(client)] };
    while (canceller && !over.aborted) {
      // If that fails, the statement ends when its time is up.
      await canceller.run(statement).catch(() => {});
      await sleep(CANCEL_AGAIN_MS, undefined, { signal: over }).catch(() => {});
    }
  }

  async function run<Row extends QueryResultRow>(statement: Statement, signal?: AbortSignal): Promise<Row[]> {
    const client = await pool.connect();
    if (signal?.aborted) {
      client.release();
      throw signal.reason;
    }
    const pass = () => {}; // The statement is told, too.
    client.on("error", pass);
    let isBroken = false;
    const over = new AbortController();
    let cancelling: Promise<void> | undefined;
    const onAbort = () => {
      cancelling = cancel(client, over.signal);
    };
    try {
      signal?.addEventListener("abort", onAbort);
      return (await client.query<Row>(statement)).rows;
    } catch (error) {
      isBroken = troubleOf(error) === "connection";
      throw signal?.aborted ? signal.reason : error;
    } finally {
      signal?.removeEventListener("abort", onAbort);
      over.abort();
      // Else it would end the next statement on this connection.
      await cancelling;
      client.off("error", pass);
      client.release(isBroken);
    }
  }

  return {
    run,
    ask: <Row extends QueryResultRow>(
      statement: Statement,
      { within = READ_TROUBLE_MS, signal }: { within?: number; signal?: AbortSignal | undefined } = {},
    ) => againWhileAway(() => run<Row>(statement, signal), within, signal),
    close: () => pool.end(),
  };
}

/**
 * Runs it, and again while there is no connection, for so many milliseconds. Rejects with StoreUnavailable, or with the
 * reason of the signal.
 */
async function againWhileAway<Result>(
  run: () => Promise<Result>,
  within: number,
  signal: AbortSignal | undefined,
): Promise<Result> {
  const deadline = performance.now() + within;
  for (let attempt = 0; ; attempt++) {
    try {
      return await run();
    } catch (error) {
      signal?.throwIfAborted();
      if (troubleOf(error) !== "connection" || performance.now() > deadline) throw new StoreUnavailable(error);
      await backOff(attempt, signal);
    }
  }
}

/** Waits 50 ms, then twice as long each time, and no more than 1 s; not all servers equally long. */
export async function backOff(attempt: number, signal?: AbortSignal): Promise<void> {
  const milliseconds = Math.min(50 * 2 ** attempt, 1_000) * (0.75 + Math.random() / 2);
  await sleep(milliseconds, undefined, signal && { signal }).catch(() => {});
}

/** A connection of its own that no pool looks after. */
export function newClient(url: string, more: ClientConfig = {}): Client {
  return new Client({ ...clientConfig(url), ...more });
}

function clientConfig(url: string): ClientConfig {
  return {
    connectionString: url,
    application_name: "userlock",
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    types: TYPES,
  };
}

/**
 * Applies the settings, with `synchronous_commit` at least at `on`: a weaker one would answer a commit before it is on
 * disk. Resolves with the id of the server's process.
 */
async function setUp(client: ClientBase, settings: [name: string, value: string | number][]): Promise<number> {
  const { rows } = await client.query(
    `SELECT pg_backend_pid() AS process,
      pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean AS is_read_only,
      CASE WHEN current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')
        THEN set_config('synchronous_commit', 'on', false) END,
      (SELECT count(set_config(name, value, false)) FROM unnest($1::text[], $2::text[]) AS setting(name, value))`,
    [settings.map(([name]) => name), settings.map(([, value]) => String(value))],
  );
  if (rows[0].is_read_only) throw new Error("the server takes no writes: it is a standby, or read only");
  return rows[0].process;
}

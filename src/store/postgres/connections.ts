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
/** How long a statement waits for a lock. A server that lost its connection may hold one. */
const LOCK_TIMEOUT_MS = 4_000;
const IDLE_IN_TRANSACTION_MS = 10_000;
/** How much longer than the server's timeout a client waits, milliseconds. */
const GRACE_MS = 1_000;
/** How long a read is retried without a connection, milliseconds. */
const READ_TROUBLE_MS = 5_000;
/** How long an idle connection is kept, milliseconds. */
const IDLE_MS = 60_000;
/** How soon the cancellation of a statement is repeated, milliseconds. */
const CANCEL_AGAIN_MS = 500;
/** All integers are safe in JavaScript: counts, versions and times. */
const TYPES = new TypeOverrides();
TYPES.setTypeParser(types.builtins.INT8, Number);

/** Why a statement failed. */
type Trouble =
  /** The server was unreachable or did not answer. The statement may or may not have run. */
  | "connection"
  /** It collided with another transaction. A retry may succeed. */
  | "collision"
  /** It timed out and had no effect. */
  | "timeout"
  /** The server rejects a value. */
  | "value"
  /** A retry cannot help. */
  | "statement";

export function troubleOf(error: unknown): Trouble {
  if (!(error instanceof DatabaseError)) return "connection";
  const code = error.code ?? "";
  // https://www.postgresql.org/docs/current/errcodes-appendix.html
  if (/^(57014|55P03)$/.test(code)) return "timeout";
  // No connection, resources or permission to connect; stopped by the operator; a standby (25006).
  if (/^(08|28|3D|53|57)|^25006$/.test(code)) return "connection";
  if (/^40|^23505$/.test(code)) return "collision";
  return /^(21|22|23|54)/.test(code) ? "value" : "statement";
}

/** How the statements of a pool are planned and limited. */
interface PoolSettings {
  /** The only schema in which names are looked up, quoted. Tables of other schemas are other stores. */
  schema: string;
  connections: number;
  statementMs: number;
  /** Statements read few rows by key, so plans use the index, however small the tables are. */
  byKey: boolean;
}

export interface Connections {
  /**
   * Runs one statement, once. Rejects with the driver's error, or with the reason of the signal, which cancels the
   * statement on the server.
   */
  run<Row extends QueryResultRow>(statement: Statement, signal?: AbortSignal): Promise<Row[]>;
  /**
   * Runs an idempotent statement, with retries while there is no connection, for `within` milliseconds (5,000 by
   * default). Rejects with StoreUnavailable, or with the reason of the signal.
   */
  query<Row extends QueryResultRow>(
    statement: Statement,
    options?: { within?: number; signal?: AbortSignal | undefined },
  ): Promise<Row[]>;
  /** The numbers of connections, and of statements that wait for one. */
  usage(): { used: number; idle: number; pending: number };
  close(): Promise<void>;
}

export interface Statement {
  /** Named statements are prepared once per connection. */
  name?: string;
  text: string;
  values: unknown[];
}

/**
 * A pool of connections to a server that accepts writes, because a standby's reads may be stale. A signal can cancel
 * statements if `canceller` is given.
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
  /** The server's process ids. With a connection pooler in between, the driver knows only the pooler's. */
  const processes = new WeakMap<ClientBase, number>();
  const pool = new Pool({
    ...clientConfig(url),
    max: connections,
    idleTimeoutMillis: IDLE_MS,
    query_timeout: statementMs + GRACE_MS,
    // The pool awaits it, although its type does not show that.
    onConnect: async (client) => {
      processes.set(client, await setUp(client, settings));
    },
  });
  // An idle connection broke. The pool drops it, and no caller waits for it.
  pool.on("error", () => {});

  /** Cancels the client's statement. Repeats until the statement is over, because one that has not begun ignores it. */
  async function cancel(client: ClientBase, over: AbortSignal): Promise<void> {
    const statement = { text: "SELECT pg_cancel_backend($1)", values: [processes.get(client)] };
    while (canceller && !over.aborted) {
      // If that fails, the statement ends by its timeout.
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
    const pass = () => {}; // The statement rejects, too.
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
      // Otherwise it could cancel the next statement on this connection.
      await cancelling;
      client.off("error", pass);
      client.release(isBroken);
    }
  }

  return {
    run,
    query: <Row extends QueryResultRow>(
      statement: Statement,
      { within = READ_TROUBLE_MS, signal }: { within?: number; signal?: AbortSignal | undefined } = {},
    ) => againWhileAway(() => run<Row>(statement, signal), within, signal),
    usage: () => ({
      used: pool.totalCount - pool.idleCount,
      idle: pool.idleCount,
      pending: pool.waitingCount,
    }),
    close: () => pool.end(),
  };
}

/**
 * Runs it, with retries while there is no connection, for `within` milliseconds. Rejects with StoreUnavailable, or with
 * the reason of the signal.
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

/** Waits 50 ms, doubling up to 1 s, with jitter. */
export async function backOff(attempt: number, signal?: AbortSignal): Promise<void> {
  const milliseconds = Math.min(50 * 2 ** attempt, 1_000) * (0.75 + Math.random() / 2);
  await sleep(milliseconds, undefined, signal && { signal }).catch(() => {});
}

/** A connection outside of any pool. */
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
 * Applies the settings, and `synchronous_commit` of at least `on`: a weaker one answers before a commit is on disk.
 * Resolves with the server's process id.
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
  if (rows[0].is_read_only) throw new Error("the server accepts no writes, because it is a standby or read-only");
  return rows[0].process;
}

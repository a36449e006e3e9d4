import { file_google_rpc_error_details } from "../gen/google/rpc/error_details_pb.ts";
import { createBatch } from "./app/batch.ts";
import { createExecute } from "./app/execute.ts";
import { createReadDenied } from "./app/follow/denied-users.ts";
import { createListEvents } from "./app/follow/events.ts";
import { createTail } from "./app/follow/tail.ts";
import { createWatch } from "./app/follow/watch.ts";
import { createHashQueue } from "./app/hash-queue.ts";
import { createOwners } from "./app/last-owner.ts";
import { createPolicies } from "./app/lockout-policies.ts";
import { createLogin } from "./app/login.ts";
import { createReceipts } from "./app/receipts.ts";
import { createLists, createSearch } from "./app/search.ts";
import { createFindSession, createSessions } from "./app/sessions.ts";
import { expireLocks } from "./app/startup/expire-locks.ts";
import { ensureFirstToken } from "./app/startup/first-token.ts";
import { ensureSameKey, keyIn } from "./app/startup/instance-key.ts";
import { createReadiness, createRecovery } from "./app/startup/readiness.ts";
import { refuseOpenFiles } from "./app/startup/secret-file.ts";
import { createAuthenticate, hashSecret, newSecret } from "./auth/authenticate.ts";
import { lowerHashThreads } from "./auth/hash-threads.ts";
import { createInstanceSecrets, keyOf, newKey } from "./auth/instance-secrets.ts";
import { createJwtVerifier } from "./auth/jwt.ts";
import { createPasswordHasher } from "./auth/password.ts";
import { systemClock } from "./clock.ts";
import type { Config } from "./config/config.ts";
import { DomainError } from "./domain/errors.ts";
import { idGenerator } from "./ids.ts";
import { createFaultLog, type Logger } from "./log.ts";
import { observeLog } from "./observe/log/access-log.ts";
import { UNOBSERVED, withMore } from "./observe/observers.ts";
import { createPipeline } from "./rpc/pipeline.ts";
import { REFLECTED, SERVICES, serveAll } from "./rpc/services/all.ts";
import { createHealth } from "./rpc/services/health.ts";
import { createReflection } from "./rpc/services/reflection.ts";
import { createShares } from "./rpc/shares.ts";
import { createRequestValidator } from "./rpc/validator.ts";
import { openStore } from "./store/open.ts";
import { filesOf, isKept, kindOf, placeOf } from "./store/settings.ts";
import { listen } from "./transport/connections/listener.ts";
import { createDispatch } from "./transport/dispatch.ts";
import { openServices } from "./transport/grpc/open-services.ts";
import { LIMITS, type Limits } from "./transport/limits.ts";
import { listenAdmin } from "./transport/rest/admin.ts";
import { VERSION } from "./version.ts";

export { poolSize } from "./app/hash-queue.ts";

export interface Server {
  /** The URL, such as `http://127.0.0.1:8080`. */
  url: string;
  /** The URL of the admin listener. Undefined without one. */
  adminUrl: string | undefined;
  /** The address of the console. Undefined without one. */
  consoleUrl: string | undefined;
  /** The file with the first token. Undefined if the token was given, or if another machine has the file. */
  tokenFile: string | undefined;
  /**
   * Stops accepting, ends streams with UNAVAILABLE, lets calls finish for up to 10 s, then closes the store and, last,
   * the admin listener.
   */
  close(): Promise<void>;
}

const EXPOSED =
  "other machines can reach this port without TLS, and the network can read tokens and passwords: " +
  "set USERLOCK_TLS_CERT and USERLOCK_TLS_KEY, or make sure that only a proxy with TLS can reach the port";

const CONSOLE_EXPOSED =
  "other machines can reach the console on the admin listener without TLS, and the network can read tokens: " +
  "let it listen on 127.0.0.1, or set USERLOCK_CONSOLE to public or off";

/** The time for a last scrape when all else is closed, milliseconds. */
const ADMIN_DRAIN_MS = 1_000;

/** Options for tests, beside the settings. */
export interface StartOptions extends Partial<Limits> {
  /** The maximum number of appends in one commit. */
  commitRows?: number;
  /** False: Connect's router serves unary calls, too. */
  unaryDoor?: boolean;
  /** False: the start is faster, but the first request of each kind compiles its validation rules. */
  warmUp?: boolean;
  /** Failed logins are answered at a multiple of this, milliseconds. */
  loginSlotMs?: number;
}

/**
 * Assembles the server and starts it. If a part cannot start, closes everything and rejects with StoreRefused or an
 * error of the network or file system.
 */
export async function start(
  config: Config,
  log: Logger,
  { commitRows, unaryDoor = true, warmUp = true, loginSlotMs, ...changedLimits }: StartOptions = {},
): Promise<Server> {
  const limits = {
    ...LIMITS,
    connectionsPerAddress: config.connectionsPerAddress,
    connectionAgeMs: config.connectionAge / 1_000,
    ...changedLimits,
  };
  const instanceId = config.instance.id;
  const files = filesOf(config.store);
  const clock = systemClock();
  const newId = idGenerator(clock);
  const stop = new AbortController();
  const { fault, callError } = createFaultLog(log, stop.signal);

  const about = { version: VERSION, store: kindOf(config.store) };
  // Loaded on demand, because most commands and tests need no metrics.
  const metrics = config.adminListen && (await import("./observe/metrics.ts")).createMetrics(about, clock);
  const accessLog = observeLog({ log, mode: config.accessLog });
  const traces = config.traces && (await import("./observe/traces/traces.ts")).startTraces(config.traces, about, log);
  const observed = withMore(metrics?.observers ?? UNOBSERVED, accessLog);
  const observe = traces ? withMore(observed, traces) : observed;
  const onKeysFault = fault("the keys of the JWTs' issuer cannot be fetched");
  const onFetch = () => {
    const span = traces?.fetchesKeys();
    return {
      headers: span?.headers,
      ended(isFetched: boolean) {
        span?.ended(isFetched);
        observe.onKeys?.(isFetched);
      },
    };
  };
  let admin: Awaited<ReturnType<typeof listenAdmin>> | undefined;
  const closeObserved = async () => {
    accessLog.close();
    await traces?.close();
    metrics?.close();
    await admin?.close(ADMIN_DRAIN_MS);
  };
  let opened: Awaited<ReturnType<typeof openStore>> | undefined;

  try {
    const verifyJwt = config.jwt && (await createJwtVerifier(config.jwt, clock, onKeysFault, { onFetch }));
    if (!config.allowsInsecureFiles && isKept(config.store)) refuseOpenFiles(files);
    const store = await openStore(config.store, instanceId, { commitRows, observer: observe.store });
    opened = store;
    const execute = createExecute({ store, clock, onAppend: observe.onAppend });
    const key = config.secretKey ?? (isKept(config.store) ? keyIn(files.folder, newKey, keyOf) : newKey());
    const secrets = createInstanceSecrets(key);
    await ensureSameKey({ execute, instanceId, fingerprint: secrets.fingerprint });
    const firstToken = { store, execute, instanceId, newSecret, hashSecret };
    const tokenFile = await ensureFirstToken(firstToken, config.adminToken, files.folder);
    await lowerHashThreads();

    const lists = createLists(store);
    const search = createSearch({ store, clock, lists });
    const bareHasher = observe.hasher(createPasswordHasher(config.argon2));
    const hasher = observe.hashQueue(createHashQueue({ hasher: bareHasher, threads: config.hashThreads }));
    const policies = createPolicies({ store, instanceId });
    const login = createLogin({
      store,
      execute,
      policies,
      hasher,
      secrets,
      clock,
      slotMs: loginSlotMs,
      onOutcome: observe.onLogin,
    });
    const findSession = createFindSession({ store, clock });
    const sessions = createSessions({ store, execute, clock, lists });
    const owners = createOwners({ store, clock });
    const batch = createBatch({ execute, search, ...owners, clock });
    const onLogFault = fault("the log of events could not be read");
    const tail = createTail({ store: observe.followed(store), onError: onLogFault });
    const shares = createShares(limits);
    const { heartbeatMs } = limits;
    const watch = observe.watch(
      createWatch({ store, tail, places: shares.watchers, heartbeatMs, onError: onLogFault }),
    );

    const onStoreFault = fault("the store cannot be written");
    const isStoreGood = createReadiness(store, (error) =>
      error === undefined ? log.info("the store can be written again") : onStoreFault(error),
    );
    const watchStore = createRecovery(isStoreGood, stop.signal);

    const authenticate = createAuthenticate({ store, clock, verifyJwt, findSession });
    const pipeline = createPipeline({
      authenticate,
      receiptsOf: observe.receipts(createReceipts({ store, sealer: secrets, clock })),
      validator: createRequestValidator(),
      instance: config.instance,
      maxCallMs: limits.callMs,
      stopping: stop.signal,
      onError(error, ...call) {
        callError(error, ...call);
        if (error.reason === "STORE_UNAVAILABLE") watchStore();
      },
    });
    const app = {
      authenticate,
      execute,
      search,
      login,
      hasher,
      batch,
      policies,
      sessions,
      findSession,
      secrets,
      watch,
    };
    serveAll(pipeline, {
      ...app,
      ...owners,
      newId,
      clock,
      instanceId,
      about,
      lifetime: config.sessionLifetime,
      deviceLifetime: config.deviceLifetime,
      listEvents: createListEvents({ store }),
      readDenied: createReadDenied({ store, clock }),
      onUserError: (error, requestId) => callError(error, "a user of a batch", requestId),
    });
    if (warmUp) pipeline.warmUp();

    const isReady = async () => !stop.signal.aborted && (await isStoreGood());
    const services = SERVICES.map(({ typeName }) => typeName);
    const health = createHealth({ isReady, services, stopping: stop.signal });
    const reflect = createReflection(REFLECTED, [file_google_rpc_error_details]);
    const open = openServices(health, reflect, shares.openStreams, stop.signal);
    const onFailure = (error: unknown) => log.error({ err: error }, "a request failed outside of a call");
    const onIssuerError = fault("the issuer could not log an admin in to the console");
    const consoleSettings = { sealer: secrets, oidc: config.oidc, onIssuerError };
    const dispatchAt = (place: "main" | "admin") =>
      createDispatch({
        pipeline,
        open,
        unaryDoor,
        shares,
        isReady,
        corsOrigins: config.corsOrigins,
        authz: config.authz,
        console: config.console === place ? consoleSettings : undefined,
        limits,
        newId,
        observers: observe.calls,
        onFailure,
      });
    if (metrics && config.adminListen) {
      observe.onServing({ store, isReady });
      const { host, port } = config.adminListen;
      const onConsole = config.console === "admin" ? dispatchAt("admin") : undefined;
      const parts = { host, port, limits, metrics: metrics.show, isReady, onConsole, onFailure };
      admin = await listenAdmin(parts).catch((cause) => {
        throw new Error(notListening("USERLOCK_ADMIN_LISTEN", `${host}:${port}`, cause), { cause });
      });
    }
    const { host, port } = config;
    const listener = await listen({
      host,
      port,
      tls: config.tls,
      limits,
      connections: shares.connections,
      onFull: (address) => log.warn({ address }, "all streams of a connection are open, so its other calls wait"),
      onFailure,
      onExchange: dispatchAt("main"),
    }).catch((cause) => {
      throw new Error(notListening("USERLOCK_LISTEN", `${host}:${port}`, cause), { cause });
    });
    const onSweepFault = fault("expired locks could not be recorded in the log");
    const sweeping = expireLocks({ store, execute, clock, signal: stop.signal, onError: onSweepFault });
    log.info({ url: listener.url, admin: admin?.url, store: placeOf(config.store), instance: instanceId }, "serving");
    if (config.isExposed) log.warn({ url: listener.url }, EXPOSED);
    if (config.isConsoleExposed) log.warn({ url: admin?.url }, CONSOLE_EXPOSED);

    return {
      url: listener.url,
      adminUrl: admin?.url,
      consoleUrl: config.console && `${config.console === "admin" ? admin?.url : listener.url}/console/`,
      tokenFile,
      async close() {
        log.info("stopping");
        stop.abort(
          new DomainError("SHUTTING_DOWN", "The server is stopping. Call another server, or try again later."),
        );
        await Promise.all([listener.close(limits.drainMs), admin?.drain(limits.drainMs)]);
        await sweeping;
        await store.close();
        await closeObserved();
        log.info("stopped");
      },
    };
  } catch (error) {
    await opened?.close();
    await closeObserved();
    throw error;
  }
}

/** Why the server cannot listen, and which setting changes that. */
function notListening(setting: string, address: string, { code, message }: NodeJS.ErrnoException): string {
  const reasons: Record<string, string> = {
    EADDRINUSE: "another program uses this address; stop it, or use another port",
    EADDRNOTAVAIL: "this machine does not have the address; use one of its own, or 0.0.0.0 for all",
    EACCES: "the process may not use this port; use one above 1023",
    ENOTFOUND: "the host does not exist; use an address of this machine",
  };
  return `${setting}: ${address}: ${reasons[code ?? ""] ?? message}`;
}

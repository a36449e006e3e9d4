import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { Code } from "../gen/google/rpc/code_pb.ts";
import { file_google_rpc_error_details } from "../gen/google/rpc/error_details_pb.ts";
import { Health as HealthService } from "../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1alpha } from "../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { AccessService } from "../gen/userlock/v3alpha/access_service_pb.ts";
import { EventService } from "../gen/userlock/v3alpha/event_service_pb.ts";
import { SessionService } from "../gen/userlock/v3alpha/session_service_pb.ts";
import { SettingsService } from "../gen/userlock/v3alpha/settings_service_pb.ts";
import { UserService } from "../gen/userlock/v3alpha/user_service_pb.ts";
import { ZITADELUsers } from "../gen/zitadel/resources/user/v3alpha/user_service_pb.ts";
import { createBatch } from "./app/batch.ts";
import { createExecute, type Execute } from "./app/execute.ts";
import { createListEvents } from "./app/follow/events.ts";
import { createTail } from "./app/follow/tail.ts";
import { createWatch } from "./app/follow/watch.ts";
import { createHashQueue, hashesAtOnce } from "./app/hash-queue.ts";
import { createHoldsOwner, createOtherOwner, createOtherOwnerToken } from "./app/last-owner.ts";
import { createPolicies } from "./app/lockout-policies.ts";
import { createLogin } from "./app/login.ts";
import { createReceipts } from "./app/receipts.ts";
import { createLists, createSearch } from "./app/search.ts";
import { createFindSession, createSessions } from "./app/sessions.ts";
import { expireLocks } from "./app/startup/expire-locks.ts";
import { ensureFirstToken } from "./app/startup/first-token.ts";
import { ensureSameKey } from "./app/startup/instance-key.ts";
import { readSecret, refuseOpenFiles, secretInFile } from "./app/startup/secret-file.ts";
import { createAuthenticate, hashSecret, newSecret } from "./auth/authenticate.ts";
import { lowerHashThreads } from "./auth/hash-threads.ts";
import { createKeyed, KEY_BYTES } from "./auth/instance-secrets.ts";
import { createJwtVerifier } from "./auth/jwt.ts";
import { createPasswordHasher } from "./auth/password.ts";
import { systemClock } from "./clock.ts";
import type { Config } from "./config.ts";
import { DomainError } from "./domain/errors.ts";
import { idGenerator } from "./ids.ts";
import type { Logger } from "./log.ts";
import type { RpcError } from "./rpc/errors.ts";
import { createPipeline } from "./rpc/pipeline.ts";
import { accessMethods } from "./rpc/services/access.ts";
import { eventMethods } from "./rpc/services/events.ts";
import { createHealth } from "./rpc/services/health.ts";
import { createReflection } from "./rpc/services/reflection.ts";
import { sessionMethods } from "./rpc/services/sessions.ts";
import { settingsMethods } from "./rpc/services/settings.ts";
import { userMethods } from "./rpc/services/users.ts";
import { createShares } from "./rpc/shares.ts";
import { createRequestValidator } from "./rpc/validator.ts";
import { keyOf } from "./setting-values.ts";
import { openStore } from "./store/open.ts";
import type { EventStore } from "./store/port.ts";
import { isKept, placeOf } from "./store/settings.ts";
import { createDispatch } from "./transport/dispatch.ts";
import { createConnectDoor } from "./transport/grpc/connect-door.ts";
import { openServices } from "./transport/grpc/open-services.ts";
import { createUnaryDoor } from "./transport/grpc/unary-door.ts";
import { listen } from "./transport/http/listener.ts";
import { LIMITS, type Limits } from "./transport/limits.ts";
import { createRestDoor } from "./transport/rest/door.ts";
import { createIntrospectionDoor } from "./transport/rest/introspection.ts";
import { createWebDoor } from "./transport/rest/probes.ts";

/**
 * How long an answer about the store's state is good for, milliseconds: many may ask, and each look writes a little. A
 * full disk is to be seen within a second.
 */
const READY_MS = 900;
/** Where what must not be in the store goes, if the store is no file beside which it could lie. */
const DATA_FOLDER = "data";
const KEY_FILE = "instance.key";
const TOKEN_FILE = "admin.token";
/** As many as Node's pool has by itself. */
const SPARE_POOL_THREADS = 4;

export interface Server {
  /** Where it listens, such as `http://127.0.0.1:8080`. */
  url: string;
  /**
   * File with the first token; undefined if the token was given, or if the file is not there, on another machine say.
   */
  tokenFile: string | undefined;
  /** Stops accepting, ends streams with UNAVAILABLE, lets calls finish for up to 10 s, closes the store. */
  close(): Promise<void>;
}

/** What tests change of a server beside its settings. */
export interface StartOptions extends Partial<Limits> {
  /** How many changes one commit takes. */
  commitRows?: number;
  /** False: Connect's router serves unary calls, too. */
  unaryDoor?: boolean;
  /** False: the first request of each kind waits for its validator, and the start is faster. */
  warmUp?: boolean;
  /** Failed logins are answered at multiples of this, milliseconds. */
  loginSlotMs?: number;
}

/**
 * Puts the parts together and serves. Rejects, with nothing left open, if a part cannot start: StoreRefused, or an error
 * of the network or the file system.
 */
export async function start(
  config: Config,
  log: Logger,
  { commitRows, unaryDoor = true, warmUp = true, loginSlotMs, ...changedLimits }: StartOptions = {},
): Promise<Server> {
  const limits = { ...LIMITS, connectionsPerAddress: config.connectionsPerAddress, ...changedLimits };
  const { instance, store: settings } = config;
  const clock = systemClock();
  const newId = idGenerator(clock);
  const onKeysFault = (error: unknown) => log.error({ err: error }, "the keys of the JWTs' issuer cannot be fetched");
  const verifyJwt = config.jwt && (await createJwtVerifier(config.jwt, clock, onKeysFault));
  const folder = settings.kind === "sqlite" ? dirname(settings.file) : DATA_FOLDER;
  if (!config.allowsInsecureFiles && isKept(settings)) {
    const database = settings.kind === "sqlite" ? ["", "-wal", "-shm"].map((end) => settings.file + end) : [];
    refuseOpenFiles([...database, join(folder, KEY_FILE), join(folder, TOKEN_FILE)]);
  }
  const store = await openStore(settings, instance.id, { commitRows });

  try {
    const execute = createExecute({ store, clock });
    const lists = createLists(store);
    const search = createSearch({ store, clock, lists });
    const keyed = createKeyed(config.secretKey ?? (isKept(settings) ? keyIn(folder) : randomBytes(KEY_BYTES)));
    await ensureSameKey({ store, clock, fingerprint: keyed.fingerprint });
    const tokenFile = await seeToFirstToken({ store, execute, instanceId: instance.id }, config.adminToken, folder);
    await lowerHashThreads();
    const hasher = createHashQueue({ hasher: createPasswordHasher(config.argon2), threads: config.hashThreads });
    const policies = createPolicies({ store, instanceId: instance.id });
    const login = createLogin({ store, execute, policies, hasher, keyed, clock, slotMs: loginSlotMs });
    const findSession = createFindSession({ store, clock });
    const sessions = createSessions({ store, execute, clock, lists });

    const stop = new AbortController();
    const services = [UserService, ZITADELUsers, SessionService, SettingsService, AccessService, EventService];
    const onError = ({ code, reason, message, cause }: RpcError, method: string, requestId: string) => {
      // Anybody can make such calls: keys that cannot be fetched are logged where they are fetched, and the other is the
      // caller's mistake, which the protocols call INTERNAL.
      const isTold = reason === "KEYS_UNAVAILABLE" || reason === "ENCODING_MISSING";
      const isOurFault = (code === Code.INTERNAL || code === Code.UNAVAILABLE) && !isTold && !stop.signal.aborted;
      if (isOurFault) log.error({ method, requestId, code, reason, err: cause }, message);
      // What the caller is told quotes the request, which may have a secret in it, in its path too.
      else log.debug({ method, requestId, code, reason }, "a call was refused");
    };
    const pipeline = createPipeline({
      authenticate: createAuthenticate({ store, clock, verifyJwt, findSession }),
      receiptsOf: createReceipts({ store, sealer: keyed, clock }),
      validator: createRequestValidator(),
      instance,
      maxCallMs: limits.callMs,
      stopping: stop.signal,
      onError,
    });
    const otherOwner = createOtherOwner({ store, clock });
    const batch = createBatch({ execute, search, otherOwner, holdsOwner: createHoldsOwner({ store, clock }), clock });
    const methods = {
      execute,
      search,
      login,
      hasher,
      otherOwner,
      batch,
      onUserError: (error: RpcError, requestId: string) => onError(error, "a user of a batch", requestId),
      newId,
      clock,
      instanceId: instance.id,
    };
    pipeline.serve(UserService, userMethods(methods));
    pipeline.serve(ZITADELUsers, userMethods(methods));
    const otherOwnerToken = createOtherOwnerToken({ store, clock });
    pipeline.serve(AccessService, accessMethods({ ...methods, otherOwnerToken }));
    pipeline.serve(SettingsService, settingsMethods({ ...methods, policies }));
    pipeline.serve(
      SessionService,
      sessionMethods({
        ...methods,
        sessions,
        findSession,
        keyed,
        lifetime: config.sessionLifetime,
        deviceLifetime: config.deviceLifetime,
      }),
    );
    const onLogFault = (error: unknown) => {
      if (!stop.signal.aborted) log.error({ err: error }, "the log of events could not be read");
    };
    const tail = createTail({ store, onError: onLogFault });
    const shares = createShares(limits);
    const { heartbeatMs } = limits;
    const watch = createWatch({ store, tail, places: shares.watchers, heartbeatMs, onError: onLogFault });
    pipeline.serve(EventService, eventMethods({ list: createListEvents({ store }), watch }));
    if (warmUp) pipeline.warmUp();

    let wasGood = true;
    const isStoreGood = once(READY_MS, async () => {
      const error: unknown = await store.check().catch((cause) => cause);
      const isGood = error === undefined;
      if (wasGood && !isGood && !stop.signal.aborted) log.error({ err: error }, "the store cannot be written");
      if (isGood && !wasGood) log.info("the store can be written again");
      wasGood = isGood;
      return isGood;
    });
    const isReady = async () => !stop.signal.aborted && (await isStoreGood());
    const health = createHealth({
      isReady,
      services: services.map(({ typeName }) => typeName),
      stopping: stop.signal,
    });
    const reflected = [...services, HealthService, ServerReflection, ServerReflectionV1alpha];
    const reflect = createReflection(reflected, [file_google_rpc_error_details]);
    const onFailure = (error: unknown) => log.error({ err: error }, "a request failed outside of a call");
    const listener = await listen({
      host: config.host,
      port: config.port,
      tls: config.tls,
      limits,
      connections: shares.connections,
      onExchange: createDispatch({
        pipeline,
        unary: unaryDoor ? createUnaryDoor(pipeline, limits, shares) : undefined,
        connect: createConnectDoor(
          pipeline,
          openServices(health, reflect, shares.openStreams, stop.signal),
          limits,
          shares,
        ),
        rest: createRestDoor(pipeline, limits, shares),
        introspection: createIntrospectionDoor(pipeline, limits, shares),
        web: createWebDoor(isReady),
        corsOrigins: config.corsOrigins,
        limits,
        newId,
        onFailure,
      }),
      onFailure,
    });
    const sweeping = expireLocks({
      store,
      execute,
      clock,
      signal: stop.signal,
      onError: (error) => log.error({ err: error }, "locks whose end has come could not be put into the log"),
    });
    log.info({ url: listener.url, store: placeOf(settings), instance: instance.id }, "serving");

    return {
      url: listener.url,
      tokenFile,
      async close() {
        log.info("stopping");
        stop.abort(new DomainError("SHUTTING_DOWN", "The server is stopping: call another one, or again in a moment."));
        await listener.close(limits.drainMs);
        await sweeping;
        await store.close();
        log.info("stopped");
      },
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Threads that Node's pool needs: those that hash, and some for files, names of hosts and signatures. */
export function poolSize({ hashThreads }: Config): number {
  return hashesAtOnce(hashThreads) + SPARE_POOL_THREADS;
}

/** The key in the file in the folder, which is made if there is none. */
function keyIn(folder: string): Uint8Array {
  const keyFile = join(folder, KEY_FILE);
  const key = keyOf(secretInFile(keyFile, () => randomBytes(KEY_BYTES).toString("base64")).secret);
  if (!key)
    throw new Error(`${keyFile} is damaged: it must hold ${KEY_BYTES} bytes in base64. Restore it from a backup.`);
  return key;
}

/** Resolves with the file in the folder that has the first token, if one has: another server's may have it. */
async function seeToFirstToken(
  parts: { store: EventStore; execute: Execute; instanceId: string },
  given: string | undefined,
  folder: string,
): Promise<string | undefined> {
  if (given !== undefined) {
    await ensureFirstToken({ ...parts, hashOfSecret: () => hashSecret(given) });
    return undefined;
  }
  const file = join(folder, TOKEN_FILE);
  let isOurs = false;
  const hashOfSecret = () => {
    const { secret, isNew } = secretInFile(file, newSecret);
    isOurs = isNew;
    return hashSecret(secret);
  };
  const hash = await ensureFirstToken({ ...parts, hashOfSecret });
  const secret = readSecret(file);
  if (secret !== undefined && hashSecret(secret) === hash) return file;
  // A server with another folder was faster: nobody shall take this for the token.
  if (isOurs) rmSync(file, { force: true });
  return undefined;
}

/** The result of one run for all who ask while it runs and for a while after. */
function once<Result>(milliseconds: number, run: () => Promise<Result>): () => Promise<Result> {
  let latest: { result: Promise<Result>; until: number } | undefined;
  return () => {
    if (!latest || performance.now() >= latest.until) {
      const current = { result: run(), until: Number.POSITIVE_INFINITY };
      latest = current;
      void current.result.then(() => {
        current.until = performance.now() + milliseconds;
      });
    }
    return latest.result;
  };
}

// Proves that three servers of one store act as one.
import { setTimeout as sleep } from "node:timers/promises";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import type { EventStore, RecordedEvent } from "../../../src/store/port.ts";
import { type Answer, type Door, openDoors } from "../../support/clients/doors.ts";
import { addUser, asOwner, byId, logIn, ok, openSession, outcomeOf } from "../../support/logins.ts";
import { QUICK, type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { readAll } from "../../support/stores/appends.ts";
import { type EmptyStore, openStoreAt, SHARED_KEY, STORES } from "../../support/stores/stores.ts";
import { shutUnderLoad } from "../../support/workload.ts";

const { createUser, getUser, lockUser, unlockUser, deactivateUser } = UserService.method;
const { getSession, introspectToken } = SessionService.method;

const SERVERS = 3;
const CALLERS = 64;

describe.each(STORES)("three servers on %s", (_store, makeStore) => {
  let place: EmptyStore;
  let store: EventStore;
  let servers: ServerProcess[] = [];
  /** The doors of each server. */
  let doors: Door[][] = [];

  const start = () => startServer({ ...SHARED_KEY, USERLOCK_STORE: place.url }, QUICK);

  beforeAll(async () => {
    place = await makeStore();
    store = await openStoreAt(place.url);
    servers = await Promise.all(Array.from({ length: SERVERS }, start));
    doors = servers.map(({ url }) => openDoors(url));
  });
  afterAll(async () => {
    for (const door of doors.flat()) door.close();
    for (const server of servers) await server.stop();
    await store.close();
    await place.remove();
  });

  /** A door of a server. The number selects its protocol. */
  const doorOf = (server: number, kind = 0) => doors[server % SERVERS]![kind % doors[0]!.length] as Door;
  const grpc = (server: number) => doors[server % SERVERS]!.find(({ name }) => name === "gRPC, UserService") as Door;

  const logOf = async (id: string): Promise<RecordedEvent[]> =>
    (await readAll(store)).filter((event) => event.kind === "user" && event.id === id);
  const typesOf = async (id: string) => (await logOf(id)).map(({ type }) => type);

  function count(answers: Answer[]): Record<string, number> {
    const groups = Map.groupBy(answers, outcomeOf);
    return Object.fromEntries([...groups].map(([outcome, all]) => [outcome, all.length]));
  }

  test("let exactly one of 64 concurrent locks succeed, in each of 20 rounds", async () => {
    ok(await grpc(0).call(createUser, { user: { userId: "contested" } }, asOwner));
    const winners = new Set<number>();
    for (let round = 0; round < 20; round++) {
      const answers = await Promise.all(
        Array.from({ length: CALLERS }, (_, n) => doorOf(n, n + round).call(lockUser, { id: "contested" }, asOwner)),
      );
      expect(count(answers)).toEqual({ OK: 1, "FAILED_PRECONDITION USER_ALREADY_LOCKED": CALLERS - 1 });
      winners.add(answers.findIndex(({ code }) => code === "OK") % SERVERS);
      ok(await doorOf(round).call(unlockUser, { id: "contested" }, asOwner));
    }
    expect(await typesOf("contested")).toEqual([
      "user.created",
      ...Array.from({ length: 20 }, () => ["user.locked", "user.unlocked"]).flat(),
    ]);
  });

  test.each([
    ["LockUser", lockUser],
    ["DeactivateUser", deactivateUser],
  ])("all refuse logins and sessions after one of them has answered %s", async (name, method) => {
    for (let round = 0; round < 6; round++) {
      const id = await addUser(grpc(round), { id: `${name}-${round}` });
      const { sessionId, sessionToken } = await openSession(grpc(round + 1), id);
      const active = async (server: number) =>
        (await doorOf(server, round).call(introspectToken, { token: sessionToken }, asOwner)).response?.active;
      expect(await Promise.all([0, 1, 2].map(active))).toEqual([true, true, true]);

      ok(await doorOf(round + 2, round).call(method, { id }, asOwner));
      const after = await Promise.all(
        [0, 1, 2].map(async (server) => [
          await active(server),
          outcomeOf(await doorOf(server, round).call(getSession, { sessionId }, asOwner)),
          outcomeOf(await logIn(grpc(server), byId(id))),
        ]),
      );
      const refused = [false, "NOT_FOUND SESSION_NOT_FOUND", "UNAUTHENTICATED LOGIN_FAILED"];
      expect(after).toEqual([refused, refused, refused]);
    }
  });

  test("all accept logins after an unlock at one of them, and the old session stays closed", async () => {
    const id = await addUser(grpc(0), { id: "back" });
    const { sessionToken } = await openSession(grpc(1), id);
    ok(await grpc(2).call(lockUser, { id }, asOwner));
    ok(await grpc(0).call(unlockUser, { id }, asOwner));
    for (const server of [0, 1, 2]) {
      expect((await grpc(server).call(introspectToken, { token: sessionToken }, asOwner)).response?.active).toBe(false);
      ok(await logIn(grpc(server), byId(id)));
    }
  });

  test.each([1, 2])("count five of 200 concurrent wrong passwords (round %i)", async (round) => {
    const id = await addUser(grpc(0), { id: `crowd-${round}` });
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) => logIn(doorOf(n, n), { ...byId(id), password: `wrong ${n}` })),
    );
    expect(count(answers)).toEqual({ "UNAUTHENTICATED LOGIN_FAILED": 200 });
    expect(await typesOf(id)).toEqual([
      "user.created",
      ...Array.from({ length: 5 }, () => "user.login_failed"),
      "user.locked",
    ]);
    expect(outcomeOf(await logIn(grpc(round), byId(id)))).toBe("UNAUTHENTICATED LOGIN_FAILED");
  });

  test("log each of 30 simultaneous ends of locks once, even if the server that locked is killed", async () => {
    const ids = Array.from({ length: 30 }, (_, n) => `timed-${n}`);
    for (const id of ids) ok(await grpc(1).call(createUser, { user: { userId: id } }, asOwner));
    const end = Date.now() + 4_000;
    const until = { seconds: BigInt(Math.floor(end / 1_000)), nanos: (end % 1_000) * 1_000_000 };
    const locks = ids.map((id) => grpc(1).call(lockUser, { id, end: { case: "until", value: until } }, asOwner));
    for (const answer of await Promise.all(locks)) ok(answer);
    const isEnd = ({ type, id }: RecordedEvent) => type === "user.unlocked" && ids.includes(id);
    expect(await servers[1]!.stop("SIGKILL")).toBeNull();

    await sleep(end - Date.now());
    const areAllEnded = async () => (await readAll(store)).filter(isEnd).length === ids.length;
    for (let waited = 0; !(await areAllEnded()) && waited < 20_000; waited += 50) await sleep(50);
    // Time for another server to log the ends again.
    await sleep(1_200);
    for (const id of ids) {
      const log = await logOf(id);
      expect(log.map(({ type }) => type)).toEqual(["user.created", "user.locked", "user.unlocked"]);
      expect(log[2]).toMatchObject({ data: { cause: "expired" }, actor: { subject: "userlock" } });
      expect(log[2]!.time).toBeGreaterThanOrEqual(
        timestampMs({ $typeName: "google.protobuf.Timestamp", ...until }) * 1_000,
      );
    }
    for (const door of doors[1]!) door.close();
    servers[1] = await start();
    doors[1] = openDoors(servers[1].url);
  });

  test("lose no answered change when one of them is killed under load", async () => {
    const stopOthers = Promise.withResolvers<void>();
    const others = [0, 2].map((server) =>
      shutUnderLoad(doors[server]!, { name: `other-${server}`, workers: 8, afterAnswers: 200 }, async () => {
        await stopOthers.promise;
        await servers[server]!.stop("SIGKILL");
      }),
    );
    const killed = await shutUnderLoad(doors[1]!, { name: "killed", workers: 24, afterAnswers: 200 }, () =>
      servers[1]!.stop("SIGKILL"),
    );
    // The other servers continue normally.
    for (const server of [0, 2]) ok(await grpc(server).call(getUser, { id: "contested" }, asOwner));
    stopOthers.resolve();
    const accounts = [killed, ...(await Promise.all(others))].flat();

    const log = Map.groupBy(await readAll(store), ({ kind, id }) => `${kind} ${id}`);
    for (const { id, answered, pending } of accounts) {
      const types = (log.get(`user ${id}`) ?? []).map(({ type }) => type);
      expect([answered, [...answered, pending]]).toContainEqual(types);
    }
    for (const door of doors.flat()) door.close();
    servers = await Promise.all(Array.from({ length: SERVERS }, start));
    doors = servers.map(({ url }) => openDoors(url));
  });
});

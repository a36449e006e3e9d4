// Proves that a call that is repeated after a lost answer gets that answer, also from another server.
import { setTimeout as sleep } from "node:timers/promises";
import type { MessageShape } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import type { EventStore } from "../../../src/store/port.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { ADMIN_TOKEN, QUICK, type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { readAll } from "../../support/stores/appends.ts";
import { startRelay } from "../../support/stores/relay.ts";
import { type EmptyStore, openStoreAt, SHARED_KEY, STORES } from "../../support/stores/stores.ts";

const { createUser, lockUser } = UserService.method;
const NAMES = ["REST", "Connect JSON, UserService", "gRPC-Web, UserService", "gRPC, UserService"];

const timestampNanos = ({ seconds, nanos }: Timestamp) => seconds * 1_000_000_000n + BigInt(nanos);

describe.each(STORES)("on %s a client that loses the connection between commit and answer", (_, make) => {
  let store: EmptyStore;
  let log: EventStore;
  let server: ServerProcess;
  let relay: Awaited<ReturnType<typeof startRelay>>;
  let doors: Door[];

  const start = () => startServer({ ...SHARED_KEY, USERLOCK_STORE: store.url }, QUICK);

  beforeAll(async () => {
    store = await make();
    log = await openStoreAt(store.url);
    server = await start();
  });
  afterAll(async () => {
    await server.stop();
    await log.close();
    await store.remove();
  });

  beforeEach(async () => {
    const { hostname: host, port } = new URL(server.url);
    relay = await startRelay({ host, port: Number(port) });
    doors = openDoors(`http://${relay.address}`);
  });
  afterEach(async () => {
    for (const door of doors) door.close();
    await relay.stop();
  });

  const locksOf = async (id: string) =>
    (await readAll(log)).filter((event) => event.id === id && event.type === "user.locked");

  /** Locks a user through the relay, which holds back the answer. Resolves when the lock is committed. */
  async function lockUnheard(name: string, id: string, key: string) {
    const options = { token: ADMIN_TOKEN, headers: { "idempotency-key": key } };
    const door = doors.find((candidate) => candidate.name === name) as Door;
    expect((await door.call(createUser, { user: { userId: id } }, options)).code).toBe("OK");
    const lock = { id, reason: "fraud" };
    const lockOptions = { ...options, headers: { "idempotency-key": `${key}, lock` } };
    relay.hold();
    const unheard = door.call(lockUser, lock, lockOptions).then(
      ({ code }) => code,
      () => "UNAVAILABLE",
    );
    for (let waited = 0; (await locksOf(id)).length === 0 && waited < 5_000; waited += 10) await sleep(10);
    return { unheard, again: (from: Door) => from.call(lockUser, lock, lockOptions) };
  }

  async function expectFirstAnswer(id: string, again: (from: Door) => ReturnType<Door["call"]>, through: Door[]) {
    const [event, ...more] = await locksOf(id);
    expect(more).toEqual([]);
    for (const name of NAMES) {
      const { code, response } = await again(through.find((door) => door.name === name) as Door);
      expect(code).toBe("OK");
      const { details } = response as MessageShape<typeof lockUser.output>;
      expect(details?.id).toBe(id);
      expect(Number(timestampNanos(details!.changed!) / 1_000n)).toBe(event?.time);
    }
    expect(await locksOf(id)).toHaveLength(1);
  }

  test.each(NAMES)("gets the answer over %s with its idempotency key", async (name) => {
    const id = `cut ${name}`.replaceAll(/[^A-Za-z]/g, "-");
    const { unheard, again } = await lockUnheard(name, id, id);
    relay.cut();
    expect(await unheard).not.toBe("OK");
    await expectFirstAnswer(id, again, doors);
  });

  test.each(NAMES)("gets the answer over %s from another server after the first was killed", async (name) => {
    const id = `killed ${name}`.replaceAll(/[^A-Za-z]/g, "-");
    const { unheard, again } = await lockUnheard(name, id, id);
    await server.stop("SIGKILL");
    relay.cut();
    expect(await unheard).not.toBe("OK");
    server = await start();
    const others = openDoors(server.url);
    await expectFirstAnswer(id, again, others);
    for (const door of others) door.close();
  });
});

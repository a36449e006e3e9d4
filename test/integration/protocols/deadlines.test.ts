// Proves that calls end at their deadlines and when their caller leaves.
import { once } from "node:events";
import { connect } from "node:http2";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { State, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Answer, type Door, openDoors } from "../../support/clients/doors.ts";
import { exchange, openRaw } from "../../support/clients/http.ts";
import { WIRES } from "../../support/clients/wires.ts";
import { type Bystander, bystanderOf } from "../../support/servers/bystander.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";
import { holdWrites } from "../../support/stores/held-file.ts";

const { createUser, getUser, lockUser } = UserService.method;
const asOwner = { token: ADMIN_TOKEN };
const late = { code: "DEADLINE_EXCEEDED", reason: "DEADLINE_EXCEEDED" };

/** The server's own time limit for a call, in milliseconds. */
const CALL_MS = 2_500;

const folder = temporaryFolder();
const file = folder.file("userlock.db");
let server: ServerProcess;
let bystander: Bystander;
let doors: Door[] = [];
let held: { release(): void } | undefined;

/** The names of the doors, for tables that are built before a server starts. */
const NAMES = openDoors("http://127.0.0.1:1").map((door) => {
  door.close();
  return door.name;
});

beforeAll(async () => {
  const settings = { USERLOCK_STORE: `sqlite:${file}`, USERLOCK_LOG_LEVEL: "debug" };
  server = await startServer(settings, { callMs: CALL_MS, warmUp: true });
  bystander = await bystanderOf(server.url);
  doors = openDoors(server.url);
});

afterEach(() => held?.release());

afterAll(async () => {
  for (const door of doors) door.close();
  bystander?.close();
  await server?.stop();
  folder.remove();
  // Node prints a warning, for example for a negative timeout or one that is too long.
  expect(server?.stderr()).not.toContain("Warning");
});

let users = 0;
async function newUser(): Promise<string> {
  const id = `u${++users}`;
  expect(await doors[0]!.call(createUser, { user: { userId: id } }, asOwner)).toMatchObject({ code: "OK" });
  return id;
}

/** Lets the store write. Earlier changes are complete afterwards, because it writes in order. */
async function release(): Promise<void> {
  held?.release();
  await newUser();
}

/** A deadline header for the door's protocol. */
const deadline = (door: Door, milliseconds: number): Record<string, string> =>
  door.name.startsWith("gRPC") ? { "grpc-timeout": `${milliseconds}m` } : { "connect-timeout-ms": `${milliseconds}` };

function locksInLog(id: string): number {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const count = database.prepare("SELECT count(*) AS n FROM events WHERE id = ? AND type = 'user.locked'");
    return count.get(id)?.n as number;
  } finally {
    database.close();
  }
}

/** Whether the user is locked. Checks that log, state and the next lock's answer agree. */
async function isLocked(id: string): Promise<boolean> {
  const locks = locksInLog(id);
  const { response } = await doors[0]!.call(getUser, { id }, asOwner);
  const { code } = await doors[0]!.call(lockUser, { id }, asOwner);
  const state = response?.user?.state;
  if (locks === 0) expect({ state, code }).toEqual({ state: State.USER_STATE_ACTIVE, code: "OK" });
  else
    expect({ locks, state, code }).toEqual({ locks: 1, state: State.USER_STATE_LOCKED, code: "FAILED_PRECONDITION" });
  return locks > 0;
}

async function timed<Result>(work: Promise<Result>): Promise<{ result: Result; milliseconds: number }> {
  const start = performance.now();
  const result = await work;
  return { result, milliseconds: performance.now() - start };
}

describe.each(NAMES)("over %s", (name) => {
  let door: Door;
  beforeAll(() => {
    door = doors.find((candidate) => candidate.name === name) as Door;
  });
  const lock = (id: string, milliseconds: number): Promise<Answer> =>
    door.call(lockUser, { id }, { ...asOwner, headers: deadline(door, milliseconds) });

  test("a call that waits for the store is answered at its deadline, and readers are served in the meantime", async () => {
    const id = await newUser();
    held = holdWrites(file);
    const { result, milliseconds } = await bystander.isServedDuring(() => timed(lock(id, 300)));
    expect(result).toMatchObject(late);
    expect(milliseconds).toBeGreaterThan(250);
    expect(milliseconds).toBeLessThan(CALL_MS);
    await release();
    // The store had the change before the deadline.
    expect(await isLocked(id)).toBe(true);
  });

  test("a call without remaining time changes nothing", async () => {
    const id = await newUser();
    expect(await lock(id, 0)).toMatchObject(late);
    await release();
    expect(await isLocked(id)).toBe(false);
  });

  test("a call with enough time succeeds", async () => {
    expect(await lock(await newUser(), 10_000)).toMatchObject({ code: "OK" });
  });

  test("a call without a deadline, or with a distant one, has the server's own limit", async () => {
    const [one, another] = [await newUser(), await newUser()];
    held = holdWrites(file);
    const [none, far] = await Promise.all([
      timed(door.call(lockUser, { id: one }, asOwner)),
      timed(lock(another, 99_999_999)),
    ]);
    for (const { result, milliseconds } of [none, far]) {
      expect(result).toMatchObject(late);
      expect(milliseconds).toBeGreaterThan(CALL_MS - 50);
    }
    await release();
  });
});

test("each of fifty concurrent late calls changes all or nothing", async () => {
  const ids = await Promise.all(Array.from({ length: 50 }, newUser));
  held = holdWrites(file);
  const lock = async (id: string, index: number) => {
    const door = doors[index % doors.length] as Door;
    return door.call(lockUser, { id }, { ...asOwner, headers: deadline(door, index * 4) });
  };
  for (const answer of await Promise.all(ids.map(lock))) expect(answer).toMatchObject(late);
  await release();
  const outcomes = await Promise.all(ids.map(isLocked));
  expect(new Set(outcomes)).toEqual(new Set([true, false]));
});

describe.each(WIRES)("over $name", (wire) => {
  const headerName = wire.isFramed ? "grpc-timeout" : "connect-timeout-ms";
  const call = (timeout: string, headers: Record<string, string> = {}) => {
    const request = wire.request(wire.encode({}));
    return { ...request, headers: { ...request.headers, [headerName]: timeout, ...headers } };
  };
  const broken = wire.isFramed
    ? ["1", "m", "-1m", "1.5S", "123456789m", "1d", "1 m"]
    : ["m", "-1", "1.5", "12345678901", "1s", "1 0"];

  test.each(broken)("a deadline of '%s' is refused", async (timeout) => {
    const answer = await exchange(server.url, call(timeout));
    expect(wire.read(answer)).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST" });
  });

  test("an invalid deadline is reported to authenticated callers only", async () => {
    const answer = await exchange(server.url, call("soon", { authorization: "Bearer none" }));
    expect(wire.read(answer)).toMatchObject({ code: "UNAUTHENTICATED", reason: "TOKEN_INVALID" });
  });

  test.each(wire.isFramed ? ["99999999H", "99999999S", "99999999n"] : ["9999999999", "2147483648"])(
    "a deadline of '%s' is accepted",
    async (timeout) => {
      expect(wire.read(await exchange(server.url, call(timeout)))).toMatchObject({ code: "OK" });
    },
  );

  test("a deadline counts from the first byte of the request", async () => {
    held = holdWrites(file);
    const { body, ...request } = call(wire.isFramed ? "1000m" : "1000");
    async function* slowly() {
      yield body.subarray(0, 1);
      await sleep(800);
      yield body.subarray(1);
    }
    const { result, milliseconds } = await timed(exchange(server.url, { ...request, body: slowly() }));
    expect(wire.read(result)).toMatchObject(late);
    expect(milliseconds).toBeGreaterThan(950);
    expect(milliseconds).toBeLessThan(1_750);
  });
});

describe("a caller who leaves cancels the call", () => {
  const [rest, , , grpc] = WIRES as [(typeof WIRES)[0], unknown, unknown, (typeof WIRES)[0]];
  const CANCELLED = 1;

  /** The codes of a request's errors in the log. */
  const codesOf = (requestId: string) =>
    server
      .stderr()
      .split("\n")
      .filter((line) => line.includes(requestId))
      .map((line) => JSON.parse(line).code);

  test.each<[string, (requestId: string) => Promise<() => void>]>([
    [
      "by closing the HTTP/1.1 connection",
      async (requestId) => {
        const { path, headers, body } = rest.request(rest.encode({}));
        const head = Object.entries({
          ...headers,
          host: "localhost",
          "content-length": body.length,
          "x-request-id": requestId,
        });
        const { socket } = await openRaw(server.url);
        socket.write(
          `POST ${path} HTTP/1.1\r\n${head.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`,
        );
        return () => socket.destroy();
      },
    ],
    ["by closing the HTTP/2 connection", async (requestId) => (await startCall(requestId)).leave],
    ["by resetting the HTTP/2 stream", async (requestId) => (await startCall(requestId)).reset],
  ])("%s", async (what, start) => {
    held = holdWrites(file);
    const requestId = what.replaceAll(/\W/g, "-");
    const leave = await start(requestId);
    await sleep(200);
    expect(codesOf(requestId)).toEqual([]);
    leave();
    for (let waited = 0; codesOf(requestId).length === 0 && waited < 10_000; waited += 20) await sleep(20);
    expect(codesOf(requestId)).toEqual([CANCELLED]);
  });

  async function startCall(requestId: string) {
    const { path, headers, body } = grpc.request(grpc.encode({}));
    const session = connect(server.url);
    session.on("error", () => {});
    await once(session, "connect");
    const stream = session.request({ ":method": "POST", ":path": path, ...headers, "x-request-id": requestId });
    stream.on("error", () => {});
    stream.end(body);
    return {
      leave: () => session.destroy(),
      reset: () => {
        stream.once("close", () => session.close());
        stream.close(8);
      },
    };
  }
});

test("a stream ends at its deadline", async () => {
  const { headers, read } = { ...WIRES[3]!.request(Buffer.alloc(0)), read: WIRES[3]!.read };
  const watch = { version: 2 as const, path: "/grpc.health.v1.Health/Watch", body: Buffer.alloc(5) };
  const { result, milliseconds } = await timed(
    exchange(server.url, { ...watch, headers: { ...headers, "grpc-timeout": "300m" } }),
  );
  expect(read(result)).toMatchObject(late);
  expect(milliseconds).toBeGreaterThan(250);
});

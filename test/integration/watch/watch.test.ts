// Proves that events can be watched as they happen, over every protocol.
import { setTimeout as sleep } from "node:timers/promises";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { EventService, UnlockCause } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { LockCause, OwnerType, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../../support/access.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { addUser, asOwner, inOrganization, ok } from "../../support/logins.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { type EventStream, openWatchDoors, WATCH_DOORS, type WatchDoor } from "../../support/watch/watch-doors.ts";

const { lockUser, unlockUser, createUser } = UserService.method;

/** Short for the tests, in milliseconds. */
const HEARTBEAT_MS = 400;

let server: ServerProcess;
let rest: Door;
let doors: WatchDoor[];
let tokens: ReturnType<typeof tokenMaker>;
let streams: EventStream[] = [];

beforeAll(async () => {
  server = await startServer({}, { heartbeatMs: HEARTBEAT_MS });
  rest = openDoors(server.url)[0]!;
  doors = openWatchDoors(server.url);
  tokens = tokenMaker(server.url, ADMIN_TOKEN);
});

afterEach(() => {
  for (const stream of streams) stream.cancel();
  streams = [];
});

afterAll(async () => {
  for (const door of doors ?? []) door.close();
  expect(await server?.stop()).toBe(0);
});

let users = 0;
const newUser = (organization?: string) =>
  addUser(rest, { id: `u${++users}`, password: "", ...(organization !== undefined && { organization }) });
const lock = (id: string, more: object = {}) => rest.call(lockUser, { id, ...more }, asOwner).then(ok);
const unlock = (id: string) => rest.call(unlockUser, { id }, asOwner).then(ok);

/** The events of a stream as type and user. */
const inShort = (stream: EventStream) => stream.events().map(({ type, userId }) => `${type} ${userId}`);

describe.each(WATCH_DOORS)("watching events over %s", (name) => {
  const watch = (...how: Parameters<WatchDoor["watch"]>) => {
    const stream = doors.find((door) => door.name === name)!.watch(...how);
    streams.push(stream);
    return stream;
  };

  test("sends a first message with only a cursor at once", async () => {
    await newUser();
    const stream = watch();
    await stream.received(1);
    expect(stream.events()).toEqual([]);
    const { response } = await rest.call(EventService.method.listEvents, { limit: 1 }, asOwner);
    expect(stream.messages[0]!.cursor).toBe(response!.events[0]!.cursor);
  });

  test("sends a lock at once, with its author, time, reason and end", async () => {
    const id = await newUser("acme");
    const stream = watch();
    await stream.received(1);
    const headers = { "x-request-id": "the-call", "user-agent": "the caller's program" };
    const started = Date.now();
    const request = { id, reason: "fraud", note: "stolen phone", end: { case: "duration", value: { seconds: 60n } } };
    const locked = await rest.call(lockUser, request as never, { ...asOwner, headers });
    await stream.happened(1);
    expect(Date.now() - started).toBeLessThan(10_000);
    const { changed } = locked.response!.details!;
    const [event] = stream.events();
    expect(event).toMatchObject({
      cursor: stream.messages.find(({ event: one }) => one)!.cursor,
      type: "user.locked",
      objectType: "user",
      objectId: id,
      userId: id,
      owner: { type: OwnerType.ORG, id: "acme" },
      time: changed,
      actor: { subject: "admin", tokenId: "admin" },
      requestId: "the-call",
      address: "127.0.0.1",
      userAgent: "the caller's program",
    });
    expect(event!.change).toMatchObject({
      case: "lock",
      value: { cause: LockCause.MANUAL, reason: "fraud", note: "stolen phone", lockedBy: "admin", since: changed },
    });
    const { until } = event!.change.value as { until: typeof changed };
    expect(timestampMs(until!) - timestampMs(changed!)).toBe(60_000);
    await unlock(id);
    await stream.happened(2);
    expect(stream.events()[1]!.change).toMatchObject({ case: "unlock", value: { cause: UnlockCause.MANUAL } });
  });

  test("filters by organization, users and types", async () => {
    const [inAcme, inOther, ofInstance] = [await newUser("acme"), await newUser("other"), await newUser()];
    const ids = [inAcme, inOther, ofInstance];
    const all = watch({ userIds: ids });
    const filtered = [
      watch({ ...inOrganization("acme"), userIds: ids }),
      watch({ userIds: [inOther] }),
      watch({ userIds: [inOther, ofInstance], types: ["user.unlocked"] }),
      watch({ userIds: ids, types: ["user.unlocked", "user.patched"] }),
    ];
    await Promise.all([all, ...filtered].map((stream) => stream.received(1)));
    for (const id of ids) await lock(id);
    for (const id of ids) await unlock(id);
    await newUser("acme");
    await all.happened(6);
    await sleep(100);
    const types = ["user.locked", "user.unlocked"];
    expect(inShort(all)).toEqual(types.flatMap((type) => ids.map((id) => `${type} ${id}`)));
    expect(filtered.map(inShort)).toEqual([
      types.map((type) => `${type} ${inAcme}`),
      types.map((type) => `${type} ${inOther}`),
      [`user.unlocked ${inOther}`, `user.unlocked ${ofInstance}`],
      ids.map((id) => `user.unlocked ${id}`),
    ]);
  });

  test("sends only events of the organization that the caller may read", async () => {
    const { secret: token } = await tokens.create("gateway-of-acme", ["GATEWAY", "acme"]);
    const stream = watch({}, { token });
    await stream.received(1);
    const ids = [await newUser("other"), await newUser(), await newUser("acme")];
    for (const id of ids) await lock(id);
    await stream.happened(2);
    expect(inShort(stream)).toEqual([`user.created ${ids[2]}`, `user.locked ${ids[2]}`]);
  });

  test("resumes with the last cursor without gaps or repetitions", async () => {
    const id = await newUser();
    const first = watch({ userIds: [id] });
    await first.received(1);
    await lock(id);
    await first.happened(1);
    first.cancel();
    await first.ended;
    await unlock(id);
    await lock(id);
    const second = watch({ userIds: [id], after: first.messages.at(-1)!.cursor });
    await second.happened(2);
    expect(second.messages[0]).toMatchObject({ cursor: first.messages.at(-1)!.cursor });
    await unlock(id);
    await second.happened(3);
    expect(inShort(second)).toEqual(["user.unlocked", "user.locked", "user.unlocked"].map((type) => `${type} ${id}`));
  });

  test("starts at the beginning of the log with the cursor 0", async () => {
    const stream = watch({ after: "0" });
    await stream.happened(2);
    expect(stream.messages[0]!.cursor).toBe("0");
    expect(stream.events().slice(0, 2)).toMatchObject([
      { type: "instance_key.recorded" },
      { type: "token.created", objectId: "admin" },
    ]);
  });

  test("sends a heartbeat with a newer cursor when no event matches", async () => {
    const start = performance.now();
    const stream = watch({ types: ["user.patched"] });
    await stream.received(1);
    await newUser();
    await stream.received(3);
    expect(performance.now() - start).toBeGreaterThan(1.5 * HEARTBEAT_MS);
    expect(stream.events()).toEqual([]);
    expect(stream.messages[2]!.cursor > stream.messages[0]!.cursor).toBe(true);
  });

  const REFUSED: [what: string, request: Parameters<WatchDoor["watch"]>[0], code: string, reason: string][] = [
    ["an invalid cursor", { after: "yesterday" }, "INVALID_ARGUMENT", "INVALID_REQUEST"],
    ["a cursor beyond the end of the log", { after: "9999999999" }, "INVALID_ARGUMENT", "INVALID_REQUEST"],
    ["a cursor that is too long", { after: "1".repeat(101) }, "INVALID_ARGUMENT", "INVALID_REQUEST"],
    ["an invalid user id", { userIds: ["a b"] }, "INVALID_ARGUMENT", "INVALID_REQUEST"],
    ["an invalid type", { types: ["locked"] }, "INVALID_ARGUMENT", "INVALID_REQUEST"],
    ["too many types", { types: Array(101).fill("user.locked") }, "INVALID_ARGUMENT", "INVALID_REQUEST"],
    ["an organization outside the grants", inOrganization("other"), "PERMISSION_DENIED", "PERMISSION_MISSING"],
    [
      "an invalid cursor with an organization outside the grants",
      { ...inOrganization("other"), after: "x" },
      "INVALID_ARGUMENT",
      "INVALID_REQUEST",
    ],
  ];

  test.each(REFUSED)("refuses %s", async (_what, request, code, reason) => {
    const { secret: token } = await tokens.create("gateway", ["GATEWAY", "acme"]);
    const stream = watch(request, { token });
    expect(await stream.ended).toEqual({ code, reason });
    expect(stream.messages).toEqual([]);
  });

  test.each([
    ["a caller without a token", null, "UNAUTHENTICATED", "TOKEN_MISSING"],
    ["an unknown token", "userlock_unknown", "UNAUTHENTICATED", "TOKEN_INVALID"],
  ] as const)("refuses %s", async (_who, token, code, reason) => {
    expect(await watch({}, { token }).ended).toEqual({ code, reason });
  });

  test("refuses a caller who may not read events before it checks the request", async () => {
    const { secret: token } = await tokens.create("viewer", ["ORG_VIEWER", "acme"]);
    const refused = { code: "PERMISSION_DENIED", reason: "PERMISSION_MISSING" };
    expect(await watch({}, { token }).ended).toEqual(refused);
    expect(await watch({ types: ["?"] }, { token }).ended).toEqual(refused);
  });
});

test("all protocols send the same content for the same events", async () => {
  const id = await newUser();
  const all = doors.map((door) => door.watch({ userIds: [id] }));
  streams.push(...all);
  await Promise.all(all.map((stream) => stream.received(1)));
  await lock(id, { reason: "fraud", note: "Zürich – “quoted”\n💥 line" });
  await unlock(id);
  await rest.call(createUser, { user: { userId: `${id}-other` } }, asOwner);
  await Promise.all(all.map((stream) => stream.happened(2)));
  const [first, ...others] = all.map((stream) => stream.events());
  expect(first).toHaveLength(2);
  for (const events of others) expect(events).toEqual(first);
});

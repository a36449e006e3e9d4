// Proves that ListEvents filters the log and returns it in pages without secrets.
import { DatabaseSync } from "node:sqlite";
import { type MessageInitShape, toJsonString } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { AccessService } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { type Event, EventService, ListEventsResponseSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../../support/access.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { exchange } from "../../support/clients/http.ts";
import {
  addUser,
  asOwner,
  failLogins,
  inOrganization,
  ok,
  openSession,
  outcomeOf,
  PASSWORD,
} from "../../support/logins.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../../support/servers/server-process.ts";

const { listEvents } = EventService.method;
const { lockUser, unlockUser } = UserService.method;
type Request = MessageInitShape<typeof listEvents.input>;

const folder = temporaryFolder();
const file = folder.file("userlock.db");
let server: ServerProcess;
let doors: Door[];
/** The log of the test's actions, oldest first. */
let log: Event[];
let secrets: string[];
/** Tokens of two callers: one may read acme's events, the other only its users. */
let auditor: string;
let viewer: string;

const NAMES = openDoors("http://127.0.0.1:1").map((door) => {
  door.close();
  return door.name;
});

const list = (door: Door, request: Request, token = ADMIN_TOKEN) => door.call(listEvents, request, { token });
const eventsOf = async (door: Door, request: Request) => {
  const answer = await list(door, request);
  ok(answer);
  return answer.response!.events;
};
const inShort = (events: Event[]) => events.map(({ type, objectId }) => `${type} ${objectId}`);

beforeAll(async () => {
  server = await startServer({ USERLOCK_STORE: `sqlite:${file}` });
  doors = openDoors(server.url);
  const [door] = doors as [Door];
  const tokens = tokenMaker(server.url, ADMIN_TOKEN);
  const fraud = await tokens.create("fraud-detector", ["ORG_USER_MANAGER", "acme"]);
  auditor = (await tokens.create("auditor", ["GATEWAY", "acme"])).secret;
  viewer = (await tokens.create("viewer", ["ORG_VIEWER", "acme"])).secret;
  await addUser(door, { id: "alice", organization: "acme", names: [["alice"]] });
  await addUser(door, { id: "bob" });
  ok(await door.call(lockUser, { id: "alice", reason: "fraud", note: "first" }, { token: fraud.secret }));
  ok(await door.call(unlockUser, { id: "alice" }, asOwner));
  ok(await door.call(lockUser, { id: "bob", reason: "left" }, asOwner));
  const session = await openSession(door, "alice");
  await failLogins(door, "alice", 2);
  secrets = [fraud.secret, auditor, viewer, PASSWORD, session.sessionToken, session.deviceToken];
  log = await eventsOf(door, { oldestFirst: true });
});

afterAll(async () => {
  for (const door of doors ?? []) door.close();
  expect(await server?.stop()).toBe(0);
  folder.remove();
});

test("the log has an event for each action, in order", () => {
  const subjects = log.map(({ type, userId }) => `${type} ${userId}`);
  expect(subjects).toEqual([
    "instance_key.recorded ",
    ...Array(4).fill("token.created "),
    "user.created alice",
    "user.created bob",
    "user.locked alice",
    "user.unlocked alice",
    "user.locked bob",
    "user.login_succeeded alice",
    "session.opened alice",
    "user.login_failed alice",
    "user.login_failed alice",
  ]);
  expect(log.map(({ cursor }) => cursor)).toEqual(log.map(({ cursor }) => cursor).sort());
});

describe.each(NAMES)("%s", (name) => {
  const door = () => doors.find((one) => one.name === name)!;

  test("lists the newest event first by default", async () => {
    expect(await eventsOf(door(), {})).toEqual(log.toReversed());
    expect(await eventsOf(door(), { oldestFirst: true })).toEqual(log);
  });

  const FILTERS: [what: string, request: () => Request, passes: (event: Event) => boolean][] = [
    ["an organization", () => inOrganization("acme"), ({ owner }) => owner!.id === "acme"],
    ["a user and the user's sessions", () => ({ userIds: ["alice"] }), ({ userId }) => userId === "alice"],
    ["users", () => ({ userIds: ["alice", "bob"] }), ({ userId }) => userId !== ""],
    ["a type", () => ({ types: ["user.locked"] }), ({ type }) => type === "user.locked"],
    [
      "types",
      () => ({ types: ["user.locked", "session.opened"] }),
      ({ type }) => /^(user.locked|session.opened)$/.test(type),
    ],
    ["an actor", () => ({ actor: "fraud-detector" }), ({ actor }) => actor!.subject === "fraud-detector"],
    ["a start time", () => ({ since: log[6]!.time! }), ({ cursor }) => cursor >= log[6]!.cursor],
    ["an end time", () => ({ before: log[6]!.time! }), ({ cursor }) => cursor < log[6]!.cursor],
    [
      "all conditions",
      () => ({
        ...inOrganization("acme"),
        userIds: ["alice"],
        types: ["user.locked", "user.unlocked"],
        actor: "admin",
        since: log[0]!.time!,
        before: { seconds: 9_999_999_999n, nanos: 0 },
      }),
      ({ type }) => type === "user.unlocked",
    ],
    ["a type without events", () => ({ types: ["user.deleted"] }), () => false],
    ["an unknown actor", () => ({ actor: "nobody" }), () => false],
  ];

  test.each(FILTERS)("lists events by %s", async (_what, request, passes) => {
    const expected = log.filter(passes);
    expect(inShort(await eventsOf(door(), { ...request(), oldestFirst: true }))).toEqual(inShort(expected));
    expect(inShort(await eventsOf(door(), request()))).toEqual(inShort(expected.toReversed()));
  });

  test.each([true, false])("lists events page by page (oldest first: %j)", async (oldestFirst) => {
    const pages: Event[][] = [];
    let cursor = "";
    do {
      const answer = await list(door(), { limit: 5, oldestFirst, cursor });
      ok(answer);
      pages.push(answer.response!.events);
      cursor = answer.response!.nextCursor;
    } while (cursor !== "");
    expect(pages.map(({ length }) => length)).toEqual([5, 5, 4]);
    expect(pages.flat()).toEqual(oldestFirst ? log : log.toReversed());
  });

  test("lists events after any event's cursor", async () => {
    const { cursor } = log[5]!;
    expect(await eventsOf(door(), { cursor, oldestFirst: true })).toEqual(log.slice(6));
    expect(await eventsOf(door(), { cursor })).toEqual(log.slice(0, 5).toReversed());
  });

  test.each<[what: string, request: Request, outcome: string]>([
    ["an invalid cursor", { cursor: "yesterday" }, "INVALID_ARGUMENT INVALID_REQUEST"],
    ["a limit above 1,000", { limit: 1_001 }, "INVALID_ARGUMENT INVALID_REQUEST"],
    ["an invalid user id", { userIds: [""] }, "INVALID_ARGUMENT INVALID_REQUEST"],
    ["an invalid type", { types: ["Locked"] }, "INVALID_ARGUMENT INVALID_REQUEST"],
    ["an organization outside the grants", inOrganization("other"), "PERMISSION_DENIED PERMISSION_MISSING"],
  ])("refuses %s", async (_what, request, outcome) => {
    expect(outcomeOf(await list(door(), request, auditor))).toBe(outcome);
  });

  test("lists only the events of the caller's organization", async () => {
    const { response } = await list(door(), { oldestFirst: true }, auditor);
    expect(response!.events).toEqual(log.filter(({ owner }) => owner!.id === "acme"));
  });

  test("refuses a caller who may not read events", async () => {
    expect(outcomeOf(await list(door(), {}, viewer))).toBe("PERMISSION_DENIED PERMISSION_MISSING");
  });
});

test("listed events contain no hash and no secret, although the store has them", async () => {
  const database = new DatabaseSync(file, { readOnly: true });
  const states = database
    .prepare("SELECT state FROM streams")
    .all()
    .map(({ state }) => String(state));
  database.close();
  const hashes = states.flatMap((state) =>
    [...state.matchAll(/"(?:hash|mac)":"([^"]+)"/g)].map(([, hash]) => JSON.parse(`"${hash}"`) as string),
  );
  expect(hashes.length).toBeGreaterThan(4);
  const { response } = await list(doors[0]!, { limit: 1000 });
  const told = toJsonString(ListEventsResponseSchema, response!);
  const { body } = await exchange(server.url, {
    verb: "GET",
    path: "/resources/v3alpha/events?limit=1000",
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
  });
  for (const text of [told, body.toString()]) {
    expect(text).toContain("user.login_failed");
    for (const secret of [...secrets, ...hashes, ADMIN_TOKEN]) expect(text).not.toContain(secret);
    expect(text).not.toMatch(/"(data|hash|mac|password|grants)"/);
  }
});

test.each(["POST", "PUT", "PATCH", "DELETE"])("%s requests on events are refused and change nothing", async (verb) => {
  for (const path of ["/resources/v3alpha/events", `/resources/v3alpha/events/${log[0]!.cursor}`]) {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    expect([404, 405]).toContain((await exchange(server.url, { verb, path, headers })).status);
  }
  expect(await eventsOf(doors[0]!, { oldestFirst: true, limit: 1000 })).toEqual(log);
});

test("no method of any service changes or deletes events", () => {
  const services = [EventService, UserService, SessionService, AccessService];
  const names = services.flatMap(({ methods }) => methods.map(({ name }) => name));
  expect(names.filter((name) => /Event/.test(name))).toEqual(["ListEvents", "WatchEvents"]);
});

test("Connect GET lists events", async () => {
  const client = createClient(
    EventService,
    createConnectTransport({ baseUrl: server.url, httpVersion: "1.1", useHttpGet: true }),
  );
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
  expect((await client.listEvents({ limit: 1000, oldestFirst: true }, { headers })).events).toEqual(log);
});

describe.each(NAMES)("%s", (name) => {
  test("gives each event its actor, request id, address and user agent", async () => {
    const door = doors.find((one) => one.name === name)!;
    const headers = { "x-request-id": "audited", "user-agent": "a-tool/1.0" };
    ok(await door.call(unlockUser, { id: "bob" }, { ...asOwner, headers }));
    const [event] = await eventsOf(door, { limit: 1 });
    expect(event).toMatchObject({
      type: "user.unlocked",
      objectId: "bob",
      actor: { subject: "admin", tokenId: "admin" },
      requestId: "audited",
      address: "127.0.0.1",
      // @grpc/grpc-js always sends its own user agent.
      userAgent: expect.stringMatching(/^(a-tool\/1\.0|grpc-node-js\/.*)$/),
    });
    ok(await door.call(lockUser, { id: "bob" }, asOwner));
  });
});

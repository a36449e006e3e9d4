// Proves that WatchLocks sends all users who may not act, and then each change, over every protocol.
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import {
  type DenialCause,
  DenialCauseSchema,
  EventService,
  type WatchLocksResponse,
} from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { addUser, asOwner, failLogins, inOrganization, ok, setPolicy } from "../../support/logins.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const { lockUser, unlockUser, deactivateUser, activateUser, deleteUser } = UserService.method;
const BEARER = { authorization: `Bearer ${ADMIN_TOKEN}` };

let server: ServerProcess;
let door: Door;

beforeAll(async () => {
  server = await startServer();
  door = openDoors(server.url)[0]!;
  await setPolicy(door, { maxAttempts: 3 } as never);
  for (const id of ["free", "locked", "timed", "inactive", "both", "deleted", "guessed"]) await addUser(door, { id });
  await addUser(door, { id: "acme", organization: "acme" });
  const lock = (id: string, more: object = {}) => door.call(lockUser, { id, ...more }, asOwner).then(ok);
  await lock("locked");
  await lock("timed", { end: { case: "duration", value: { seconds: 600n, nanos: 0 } } });
  for (const id of ["inactive", "both"]) ok(await door.call(deactivateUser, { id }, asOwner));
  await lock("both");
  await lock("acme");
  ok(await door.call(deleteUser, { id: "deleted" }, asOwner));
  await failLogins(door, "guessed", 3);
});

afterAll(() => server?.stop());

const TRANSPORTS = {
  gRPC: () => createGrpcTransport({ baseUrl: server.url }),
  "gRPC-Web": () => createGrpcWebTransport({ baseUrl: server.url, httpVersion: "1.1" }),
  Connect: () => createConnectTransport({ baseUrl: server.url, httpVersion: "1.1", useBinaryFormat: false }),
};

async function* watch(name: keyof typeof TRANSPORTS, request: object, signal: AbortSignal) {
  const client = createClient(EventService, TRANSPORTS[name]());
  yield* client.watchLocks(request, { headers: BEARER, signal });
}

/** The messages up to the one that `isLast`. */
async function take(stream: AsyncIterable<WatchLocksResponse>, isLast: (message: WatchLocksResponse) => boolean) {
  const taken: WatchLocksResponse[] = [];
  for await (const message of stream) {
    taken.push(message);
    if (isLast(message)) break;
  }
  return taken;
}

const causeOf = (cause: DenialCause) => DenialCauseSchema.value[cause]?.localName;
/** Whether the client has every change up to now. */
const isCurrent = ({ cursor, content }: WatchLocksResponse) => content.case === undefined && cursor !== "";
const usersOf = (messages: WatchLocksResponse[]) =>
  messages.flatMap(({ content }) => (content.case === "snapshot" ? content.value.users : []));

describe.each(Object.keys(TRANSPORTS) as (keyof typeof TRANSPORTS)[])("over %s", (name) => {
  test("the snapshot has each denied user with the first of their causes, and those of wrong passwords not", async () => {
    const messages = await take(watch(name, {}, AbortSignal.timeout(10_000)), isCurrent);
    expect(messages.map(({ cursor }) => cursor !== "")).toEqual(messages.map(isCurrent));
    expect(messages.filter(({ content }) => content.case === "snapshot" && content.value.done)).toHaveLength(1);
    const users = usersOf(messages).filter(({ userId }) => !userId.startsWith("user-"));
    expect(users.map(({ userId, cause }) => `${userId} ${causeOf(cause)}`)).toEqual([
      "acme LOCKED",
      "both INACTIVE",
      "deleted DELETED",
      "inactive INACTIVE",
      "locked LOCKED",
      "timed LOCKED",
    ]);
    const ends = users.flatMap(({ userId, until }) => (until ? [[userId, timestampMs(until) - Date.now()]] : []));
    expect(ends).toEqual([["timed", expect.any(Number)]]);
  });

  test("an organization sees only its own users", async () => {
    const stream = watch(name, inOrganization("acme"), AbortSignal.timeout(10_000));
    expect(usersOf(await take(stream, isCurrent)).map(({ userId }) => userId)).toEqual(["acme"]);
  });

  test("each change follows, also behind a cursor", async () => {
    const signal = AbortSignal.timeout(20_000);
    const snapshot = await take(watch(name, {}, signal), isCurrent);
    const id = await addUser(door, { id: `user-${name}`, password: "" });
    const change = (method: typeof lockUser) => door.call(method, { id } as never, asOwner).then(ok);
    for (const method of [lockUser, deactivateUser, unlockUser, activateUser, deleteUser]) {
      await change(method as typeof lockUser);
    }
    const after = snapshot.at(-1)!.cursor;
    const isDeleted = ({ content }: WatchLocksResponse) =>
      content.case === "change" && causeOf(content.value.cause) === "DELETED";
    const changes = await take(watch(name, { after }, signal), isDeleted);
    const own = changes.flatMap(({ content }) => (content.case === "change" ? content.value : []));
    expect(own.filter(({ userId }) => userId === id).map(({ denied, cause }) => [denied, causeOf(cause)])).toEqual([
      [true, "LOCKED"],
      [true, "INACTIVE"],
      [true, "INACTIVE"],
      [false, "UNSPECIFIED"],
      [true, "DELETED"],
    ]);
  });
});

test("a browser gets the parts as server-sent events, and an id once it has every change", async () => {
  const response = await fetch(`${server.url}/resources/v3alpha/locks/_watch`, { headers: BEARER });
  let text = "";
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.includes("id: ")) break;
  }
  const blocks = text.split("\n\n").filter((block) => block.includes("data: "));
  expect(blocks.map((block) => /^id: /m.test(block))).toEqual(blocks.map((block) => !block.includes('"snapshot":')));
  expect(text).toContain('"userId":"locked"');
});

test("events carry what denied the user after them", async () => {
  const { response } = await door.call(
    EventService.method.listEvents,
    { userIds: ["timed", "both"], oldestFirst: true },
    asOwner,
  );
  expect(
    response!.events.map(({ userId, type, denied, deniedUntil }) => [userId, type, denied, !!deniedUntil]),
  ).toEqual([
    ["timed", "user.created", false, false],
    ["both", "user.created", false, false],
    ["timed", "user.locked", true, true],
    ["both", "user.deactivated", true, false],
    ["both", "user.locked", true, false],
  ]);
});

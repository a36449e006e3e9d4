// Proves that text that stores cannot keep is refused.
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { TextFilterMethod, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const { createUser, lockUser, patchUser, searchUsers } = UserService.method;
const { createSession } = SessionService.method;
const asOwner = { token: ADMIN_TOKEN };
const NUL = "a\0b";

let server: ServerProcess;
let doors: Door[] = [];

beforeAll(async () => {
  server = await startServer();
  doors = openDoors(server.url);
  await doors[0]!.call(createUser, { user: { userId: "alice" } }, asOwner);
});
afterAll(async () => {
  for (const door of doors) door.close();
  await server?.stop();
});

const filter = (field: object) => ({ filters: [{ filter: field }] }) as object;
const method = TextFilterMethod.CONTAINS;

describe.each(["REST", "Connect JSON, UserService", "gRPC, UserService"])("U+0000 over %s", (name) => {
  test.each<[field: string, call: (door: Door) => ReturnType<Door["call"]>]>([
    ["a lock's note", (door) => door.call(lockUser, { id: "alice", note: NUL }, asOwner)],
    ["a value of the data", (door) => door.call(patchUser, { id: "alice", user: { data: { a: [NUL] } } }, asOwner)],
    ["a name in the data", (door) => door.call(patchUser, { id: "alice", user: { data: { [NUL]: 1 } } }, asOwner)],
    ["a schema's type", (door) => door.call(patchUser, { id: "alice", user: { schemaType: NUL } }, asOwner)],
    [
      "a user name",
      (door) => door.call(createUser, { user: { authenticators: { usernames: [{ username: NUL }] } } }, asOwner),
    ],
    [
      "a login name",
      (door) => door.call(createSession, { user: { case: "loginName", value: NUL }, password: "x" }, asOwner),
    ],
    [
      "a filter by id",
      (door) => door.call(searchUsers, filter({ case: "userIdFilter", value: { id: NUL, method } }), asOwner),
    ],
    [
      "a filter by user name",
      (door) => door.call(searchUsers, filter({ case: "usernameFilter", value: { username: NUL, method } }), asOwner),
    ],
    [
      "a filter by email",
      (door) => door.call(searchUsers, filter({ case: "emailFilter", value: { address: NUL, method } }), asOwner),
    ],
    [
      "a filter by phone",
      (door) => door.call(searchUsers, filter({ case: "phoneFilter", value: { number: NUL, method } }), asOwner),
    ],
    [
      "a filter by organization",
      (door) => door.call(searchUsers, filter({ case: "organizationIdFilter", value: { id: NUL, method } }), asOwner),
    ],
    [
      "a filter by schema",
      (door) => door.call(searchUsers, filter({ case: "schemaTypeFilter", value: { type: NUL, method } }), asOwner),
    ],
    [
      "a filter by the lock's reason",
      (door) => door.call(searchUsers, filter({ case: "lockFilter", value: { reason: NUL } }), asOwner),
    ],
  ])("in %s is refused", async (_, call) => {
    const { code, reason } = await call(doors.find((door) => door.name === name) as Door);
    expect({ code, reason }).toEqual({ code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST" });
  });
});

test.each(["/resources/v3alpha/users/alice/_lock", "/userlock.v3alpha.UserService/LockUser"])(
  "half a surrogate pair, which JSON can encode and Protobuf cannot, is refused: %s",
  async (path) => {
    const response = await fetch(server.url + path, {
      method: "POST",
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" },
      body: path.endsWith("_lock") ? '{"note":"a\\ud83d"}' : '{"id":"alice","note":"a\\ud83d"}',
    });
    expect(response.status).toBe(400);
    expect(await response.text()).toContain("INVALID_REQUEST");
  },
);

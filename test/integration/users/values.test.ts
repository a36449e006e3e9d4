// Proves that values come back as they were sent, and that malformed ones are refused.
import { AccessService, Role } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { CreateUserSchema, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { EVENT_TYPES } from "../../../src/domain/event-types.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { exchange } from "../../support/clients/http.ts";
import { JSON_WIRES, WIRES } from "../../support/clients/wires.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { openWatchDoors } from "../../support/watch/watch-doors.ts";

const { createToken, listTokens } = AccessService.method;
const asOwner = { token: ADMIN_TOKEN };
const invalid = { code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST" };
const REST = "/resources/v3alpha";

let server: ServerProcess;
let doors: Door[] = [];
let grpc: Door;

beforeAll(async () => {
  server = await startServer();
  doors = openDoors(server.url);
  grpc = doors.find(({ name }) => name === "gRPC, UserService") as Door;
  const password = { type: { case: "password", value: "p\ufffdss" } };
  const user = { userId: "al", authenticators: { password } } as never;
  expect((await grpc.call(UserService.method.createUser, { user }, asOwner)).code).toBe("OK");
});
afterAll(async () => {
  for (const door of doors) door.close();
  await server?.stop();
});

/** The paths of each method, for RPC and REST. */
const PATHS = {
  lockUser: ["/userlock.v3alpha.UserService/LockUser", `${REST}/users/al/_lock`],
  batchLockUsers: ["/userlock.v3alpha.UserService/BatchLockUsers", `${REST}/users/_batch_lock`],
  batchUnlockUsers: ["/userlock.v3alpha.UserService/BatchUnlockUsers", `${REST}/users/_batch_unlock`],
  createSession: ["/userlock.v3alpha.SessionService/CreateSession", `${REST}/sessions`],
  createToken: ["/userlock.v3alpha.AccessService/CreateToken", `${REST}/tokens`],
  unlockUser: ["/userlock.v3alpha.UserService/UnlockUser", `${REST}/users/al/_unlock`],
} as const;

/** The bytes of a text in Latin-1, which are not valid UTF-8. */
const latin1 = (text: string) => Buffer.from(text, "latin1");

// Compressed requests take another way through the server than uncompressed ones.
const ways = JSON_WIRES.flatMap((wire) =>
  [false, true].map((gzip) => [`${wire.name}${gzip ? ", gzip" : ""}`, wire, gzip] as const),
);

describe.each(ways)("JSON over %s", (name, wire, gzip) => {
  const call = async (method: keyof typeof PATHS, json: string | Buffer) => {
    const path = PATHS[method][name.startsWith("REST") ? 1 : 0];
    return wire.read(await exchange(server.url, { ...wire.request(Buffer.from(json), { gzip }), path }));
  };

  test.each<[what: string, method: keyof typeof PATHS, json: string | Buffer]>([
    ["a misspelt field of LockUser", "lockUser", '{"id":"al","reasn":"fraud"}'],
    ["a misspelt nested field", "lockUser", '{"id":"al","organization":{"orgID":"a"}}'],
    ["a misspelt dryRun", "batchLockUsers", '{"ids":["al"],"dry_Run":true}'],
    [
      "a misspelt condition of a filter",
      "batchLockUsers",
      '{"filters":[{"lockFilter":{"locked":false,"resaon":"a"}}]}',
    ],
    ["a misspelt filter", "batchUnlockUsers", '{"filters":[{"lockfilter":{"locked":true}}]}'],
    ["an unknown lock cause", "batchUnlockUsers", '{"filters":[{"lockFilter":{"locked":true,"cause":"MANUAL"}}]}'],
    ["an unknown text method", "batchLockUsers", '{"filters":[{"userIdFilter":{"id":"a","method":"CONTAINS"}}]}'],
    ["an unknown role", "createToken", '{"subject":"a","grants":[{"role":"ROLE_OWNER"}]}'],
    ["an unknown enum number", "createToken", '{"subject":"a","grants":[{"role":99}]}'],
    ["a duplicate key", "lockUser", '{"id":"al","note":"a","note":"b"}'],
    ["a duplicate key, once with escapes", "lockUser", '{"id":"al","note":"a","\\u006eote":"b"}'],
    ["a duplicate nested key", "lockUser", '{"id":"al","instance":{"id":"a","id":"default"}}'],
    ["Latin-1", "lockUser", latin1('{"id":"al","note":"p\xe4ss"}')],
    ["a password in Latin-1", "createSession", latin1('{"userId":"al","password":"p\xe4ss"}')],
    ["an overlong UTF-8 form of a character", "lockUser", latin1('{"id":"al","note":"\xc0\xaf"}')],
    ["half a surrogate pair", "lockUser", latin1('{"id":"al","note":"\xed\xa0\x80"}')],
    ["the 30th of February", "lockUser", '{"id":"al","until":"2028-02-30T00:00:00Z"}'],
    ["the 29th of February of a common year", "lockUser", '{"id":"al","until":"2027-02-29T00:00:00Z"}'],
    ["the 31st of April", "lockUser", '{"id":"al","until":"2027-04-31T00:00:00Z"}'],
    ["the month 0", "lockUser", '{"id":"al","until":"2027-00-10T00:00:00Z"}'],
    ["the hour 24", "lockUser", '{"id":"al","until":"2027-01-31T24:00:00Z"}'],
    ["an offset of 24 hours", "lockUser", '{"id":"al","until":"2027-01-31T12:00:00+24:00"}'],
    ["a time that is a number", "lockUser", '{"id":"al","until":1900000000}'],
    ["the year 10,000", "lockUser", '{"id":"al","until":"10000-01-01T00:00:00Z"}'],
    ["a duration with ten decimals", "lockUser", '{"id":"al","duration":"1.1234567890s"}'],
    ["a duration with trailing text", "lockUser", '{"id":"al","duration":"1sec"}'],
    ["a duration in hours", "lockUser", '{"id":"al","duration":"1h"}'],
    ["a duration of more than 10,000 years", "lockUser", '{"id":"al","duration":"315576000001s"}'],
    ["invalid JSON", "lockUser", '{"id":"al",}'],
  ])("with %s is refused", async (_what, method, json) => {
    expect(await call(method, json)).toMatchObject(invalid);
    const { response } = await grpc.call(UserService.method.getUser, { id: "al" }, asOwner);
    expect(response?.user?.lock).toBeUndefined();
  });

  test.each<[what: string, method: keyof typeof PATHS, json: string | Buffer]>([
    ["a leap day", "lockUser", '{"id":"al","until":"2028-02-29T23:59:59.999999999+23:59"}'],
    ["a duration with nine decimals", "lockUser", '{"id":"al","duration":"3600.123456789s"}'],
    ["null for absent fields", "lockUser", '{"id":"al","until":null,"organization":null,"note":null}'],
    [
      "the same key in two objects",
      "batchLockUsers",
      '{"filters":[{"userIdFilter":{"id":"al"}},{"userIdFilter":{"id":"al"}}]}',
    ],
    ["an enum by number", "batchLockUsers", '{"filters":[{"userIdFilter":{"id":"al","method":1}}]}'],
  ])("with %s is accepted", async (_what, method, json) => {
    expect(await call(method, json)).toMatchObject({ code: "OK" });
    expect((await grpc.call(UserService.method.unlockUser, { id: "al" }, asOwner)).code).toBe("OK");
  });

  test("with an unknown field of UnlockUser is accepted by RPC protocols and refused by REST", async () => {
    const expected = name.startsWith("REST") ? invalid : { reason: "USER_NOT_LOCKED" };
    expect(await call("unlockUser", '{"id":"al","surprise":1}')).toMatchObject(expected);
  });
});

test.each(WIRES.filter(({ format }) => format === "proto"))(
  "a Protobuf string that is not UTF-8 is refused over $name",
  async (wire) => {
    const { schemaType } = CreateUserSchema.field;
    const tag = (schemaType.number << 3) | 2;
    const type = Buffer.from([(tag & 127) | 128, tag >> 7, 1, 0xe4]);
    const user = Buffer.concat([Buffer.from([(3 << 3) | 2, type.byteLength]), type]);
    expect(wire.read(await exchange(server.url, wire.request(user)))).toMatchObject(invalid);
  },
);

const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
const FORM = "application/x-www-form-urlencoded";
const asJson = (body: string) => ({ body, headers: { ...headers, "content-type": "application/json" } });

test.each<[what: string, verb: string, path: string, more: object]>([
  ["a query that is not UTF-8", "GET", `${REST}/events?actor=p%E4ss`, {}],
  ["a broken escape in a query", "GET", `${REST}/events?actor=100%`, {}],
  ["a path that is not UTF-8", "GET", `${REST}/users/p%E4ss`, {}],
  [
    "a Connect GET that is not UTF-8",
    "GET",
    "/userlock.v3alpha.UserService/GetUser?encoding=json&message=%7B%22id%22:%22%E4%22%7D",
    {},
  ],
  [
    "a form that is not UTF-8",
    "POST",
    "/oauth/v2/introspect",
    { body: "token=p%E4ss", headers: { ...headers, "content-type": FORM } },
  ],
  [
    "a form in Latin-1",
    "POST",
    "/oauth/v2/introspect",
    { body: latin1("token=p\xe4ss"), headers: { ...headers, "content-type": FORM } },
  ],
  ["a day that does not exist", "GET", `${REST}/events?since=2027-02-30T00:00:00Z`, {}],
  ["a password in a query", "POST", `${REST}/sessions?userId=al&password=x`, asJson("{}")],
  ["a device token in a query", "POST", `${REST}/sessions?device_token=x`, asJson('{"userId":"al","password":"x"}')],
  ["a session token in a query", "GET", `${REST}/sessions/a?session_token=x`, {}],
  ["a session token in the query of a DELETE", "DELETE", `${REST}/sessions/a?sessionToken=x`, {}],
  ["a new password in a query", "POST", `${REST}/users/al/password?newPassword.password=x`, asJson("{}")],
])("%s is refused", async (_what, verb, path, more) => {
  const { status, body } = await exchange(server.url, { verb, path, headers, ...more });
  expect(status).toBe(400);
  // REST has the details in plain text, Connect in base64.
  const told = JSON.parse(body.toString());
  const text = body.toString() + (told.details ?? []).map(({ value = "" }) => Buffer.from(value, "base64")).join();
  expect(text).toContain("INVALID_REQUEST");
  expect(told.message).not.toContain("nested");
});

test("percent-encoded UTF-8 in a query is accepted", async () => {
  const { status } = await exchange(server.url, {
    verb: "GET",
    path: `${REST}/events?actor=p%C3%A4ss+100%25`,
    headers,
  });
  expect(status).toBe(200);
});

describe.each(["user.lockd", "user.loccked", "lock.user"])("the unknown event type %s", (type) => {
  test("is refused by ListEvents over every protocol, with a list of the known types", async () => {
    for (const door of doors) {
      const { code, reason, badRequest, message } = await door.call(
        EventService.method.listEvents,
        { types: ["user.locked", type] },
        asOwner,
      );
      expect({ code, reason }).toEqual(invalid);
      expect(badRequest?.fieldViolations.map(({ field }) => field)).toEqual(["types[1]"]);
      for (const known of EVENT_TYPES) expect(message).toContain(known);
    }
  });

  test("is refused by WatchEvents over every protocol", async () => {
    for (const door of openWatchDoors(server.url)) {
      expect(await door.watch({ types: [type] }).ended).toEqual(invalid);
      door.close();
    }
  });
});

test("a token can expire in the last second of the year 9999 and not later", async () => {
  const token = (seconds: bigint, nanos = 0) =>
    ({ subject: "late", grants: [{ role: Role.GATEWAY }], expires: { seconds, nanos } }) as never;
  expect((await grpc.call(createToken, token(253_402_300_799n, 999_999_999), asOwner)).code).toBe("OK");
  expect(await grpc.call(createToken, token(253_402_300_800n), asOwner)).toMatchObject(invalid);
  for (const door of doors) {
    const { response } = await door.call(listTokens, { subject: "late" }, asOwner);
    expect(response?.result.map(({ expires }) => expires?.seconds)).toEqual([253_402_300_799n]);
  }
});

// Proves that deeply nested requests are bounded.
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { type SearchFilter, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { exchange, type HttpRequest } from "../../support/clients/http.ts";
import { WIRES, type Wire } from "../../support/clients/wires.ts";
import { type Bystander, bystanderOf } from "../../support/servers/bystander.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

/** The depth of data that every Protobuf implementation accepts, in both formats. */
const MAX_DATA_DEPTH = 32;
const MAX_FILTER_DEPTH = 10;

let server: ServerProcess;
let bystander: Bystander;
let doors: Door[] = [];

beforeAll(async () => {
  server = await startServer();
  bystander = await bystanderOf(server.url);
  doors = openDoors(server.url);
});

afterAll(async () => {
  for (const door of doors) door.close();
  bystander?.close();
  // The server survived all tests.
  expect(await server?.stop()).toBe(0);
});

const asOwner = { token: ADMIN_TOKEN };
const invalid = { code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST" };

/** Data with this many levels of objects or arrays, including itself. */
function nested(levels: number, wrap: (inner: JsonValue) => JsonValue): JsonObject {
  let value: JsonValue = true;
  for (let level = 1; level < levels; level++) value = wrap(value);
  return { a: value };
}

const WRAPS: [string, (inner: JsonValue) => JsonValue][] = [
  ["objects", (a) => ({ a })],
  ["arrays", (a) => [a]],
];

describe.each(WRAPS)("data of nested %s", (what, wrap) => {
  let users = 0;
  test("is accepted with 32 levels over every protocol, and read back over every other", async () => {
    const { createUser, getUser } = UserService.method;
    for (const door of doors) {
      const id = `${what}-${++users}`;
      const data = nested(MAX_DATA_DEPTH, wrap);
      expect(await door.call(createUser, { user: { userId: id, data } }, asOwner)).toMatchObject({ code: "OK" });
      for (const reader of doors) {
        expect((await reader.call(getUser, { id }, asOwner)).response?.user?.data).toEqual(data);
      }
    }
  });

  test("is refused with 33 levels over every protocol", async () => {
    const { createUser, patchUser } = UserService.method;
    const data = nested(MAX_DATA_DEPTH + 1, wrap);
    await doors[0]!.call(createUser, { user: { userId: "flat" } }, asOwner);
    for (const door of doors) {
      expect(await door.call(createUser, { user: { data } }, asOwner)).toMatchObject(invalid);
      expect(await door.call(patchUser, { id: "flat", user: { data } }, asOwner)).toMatchObject(invalid);
    }
  });
});

/** Wraps bytes `times` times in length-delimited fields, the last number outermost. */
function wrapped(bytes: Uint8Array, numbers: readonly number[], times: number): Buffer {
  // Each head contains the length of all inner ones, so heads are made from the inside out and joined once.
  const heads: Buffer[] = [];
  let length = bytes.byteLength;
  for (let time = 0; time < times; time++) {
    for (const number of numbers) {
      const head = Buffer.from([...varint(number * 8 + 2), ...varint(length)]);
      heads.push(head);
      length += head.byteLength;
    }
  }
  return Buffer.concat([...heads.reverse(), bytes]);
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

/** A CreateUserRequest with this google.protobuf.Value in `user.data`. */
function userWithData(value: Uint8Array): Buffer {
  const entry = wrapped(Buffer.concat([Buffer.from("\n\u0001a"), wrapped(value, [2], 1)]), [1], 1);
  return wrapped(entry, [2, 3], 1);
}

/** A CreateUserRequest with nested lists: ListValue.values = 1, Value.list_value = 6. */
const protoData = (levels: number) => userWithData(wrapped(Buffer.alloc(0), [1, 6], levels));

/** Nested groups of an unknown field that never end. */
const OPEN_GROUPS = Buffer.alloc(60_000, Buffer.from(varint(15 * 8 + 3)));

describe("data that cannot be both JSON and Protobuf is refused:", () => {
  const jsonWires = WIRES.filter(({ format }) => format === "json");
  test.each(
    jsonWires.flatMap(({ name }) =>
      ['{"a":1e400}', '{"a":[-1e400]}', '{"a":"\\ud83d"}', '{"\\ud83d":1}'].map((data) => [data, name]),
    ),
  )("%s over %s", async (data, name) => {
    const wire = WIRES.find((candidate) => candidate.name === name) as Wire;
    const message = wire.name === "REST" ? `{"data":${data}}` : `{"user":{"data":${data}}}`;
    expect(wire.read(await exchange(server.url, wire.request(Buffer.from(message))))).toMatchObject(invalid);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])("%d over every Protobuf protocol", async (value) => {
    const number = Buffer.from(new Float64Array([value]).buffer);
    for (const wire of WIRES.filter(({ format }) => format === "proto")) {
      const answer = await exchange(
        server.url,
        wire.request(userWithData(Buffer.concat([Buffer.of(2 * 8 + 1), number]))),
      );
      expect(wire.read(answer)).toMatchObject(invalid);
    }
  });
});

describe("nested filters", () => {
  const { searchUsers } = UserService.method;
  const filterOf = (levels: number): SearchFilter => {
    let filter = { filter: { case: "userIdFilter", value: { id: "x" } } } as SearchFilter;
    for (let level = 1; level < levels; level++) {
      filter = { filter: { case: "notFilter", value: { query: filter } } } as SearchFilter;
    }
    return filter;
  };

  test("are accepted with 10 levels and refused with 11, over every protocol", async () => {
    for (const door of doors) {
      const search = (levels: number) => door.call(searchUsers, { filters: [filterOf(levels)] }, asOwner);
      expect(await search(MAX_FILTER_DEPTH)).toMatchObject({ code: "OK" });
      expect(await search(MAX_FILTER_DEPTH + 1)).toMatchObject(invalid);
    }
  });
});

describe.each(WIRES)("deeply nested messages over $name", (wire) => {
  const isJson = wire.format === "json";
  const isRest = wire.name === "REST";

  const jsonData = (levels: number) => {
    const data = `{"a":${"[".repeat(levels)}${"]".repeat(levels)}}`;
    return isRest ? `{"data":${data}}` : `{"user":{"data":${data}}}`;
  };
  const jsonFilter = (levels: number) => {
    const filter = `${'{"notFilter":{"query":'.repeat(levels)}{"userIdFilter":{"id":"x"}}${"}}".repeat(levels)}`;
    return isRest ? `[${filter}]` : `{"filters":[${filter}]}`;
  };
  /**
   * SearchFilter.user_id_filter = 4, NotFilter.query = 1, SearchFilter.not_filter = 3, SearchUsersRequest.filters = 4.
   */
  const protoFilter = (levels: number) => {
    const innermost = wrapped(Buffer.from("\n\u0001x"), [4], 1);
    return wrapped(wrapped(innermost, [1, 3], levels), [4], 1);
  };
  const searchPath = isRest ? "/resources/v3alpha/users/_search" : "/userlock.v3alpha.UserService/SearchUsers";

  const create = (message: string | Buffer) => wire.request(Buffer.from(message));
  const search = (message: string | Buffer) => ({ ...create(message), path: searchPath });

  test.each<[string, () => HttpRequest]>([
    ["lists in data", () => create(isJson ? jsonData(5) : protoData(5))],
    ["filters", () => search(isJson ? jsonFilter(5) : protoFilter(5))],
  ])("are accepted with 5 %s", async (_what, request) => {
    expect(wire.read(await exchange(server.url, request()))).toMatchObject({ code: "OK" });
  });

  test.each<[string, () => HttpRequest]>([
    ["100 lists in data", () => create(isJson ? jsonData(100) : protoData(100))],
    ["thousands of lists in data", () => create(isJson ? jsonData(30_000) : protoData(8_000))],
    ["100 filters", () => search(isJson ? jsonFilter(100) : protoFilter(100))],
    ["thousands of filters", () => search(isJson ? jsonFilter(2_500) : protoFilter(7_500))],
    ["brackets or groups that never close", () => create(isJson ? "[".repeat(60_000) : OPEN_GROUPS)],
  ])("are refused with %s, and another caller is served", async (_what, request) => {
    const answer = await bystander.isServedDuring(() => exchange(server.url, request()));
    expect(wire.read(answer)).toMatchObject(invalid);
  });
});

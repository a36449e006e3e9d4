// Proves that random requests never cause a server error.
import {
  create,
  type DescField,
  type DescMessage,
  type DescMethodUnary,
  type JsonValue,
  type Message,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import fc, { type Arbitrary } from "fast-check";
import { AccessService } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { SettingsService } from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type Door, openDoors, REST_ROUTES } from "../../support/clients/doors.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const asOwner = { token: ADMIN_TOKEN };
const METHODS = [UserService, SessionService, SettingsService, AccessService, EventService]
  .flatMap((service): readonly { methodKind: string }[] => service.methods)
  .filter((method): method is DescMethodUnary => method.methodKind === "unary");

let server: ServerProcess;
let door: Door;

beforeAll(async () => {
  server = await startServer({ USERLOCK_LOG_LEVEL: "error" });
  door = openDoors(server.url).find(({ name }) => name === "gRPC, UserService") as Door;
  for (const userId of ["al", "be"]) await door.call(UserService.method.createUser, { user: { userId } }, asOwner);
});
afterAll(async () => {
  door?.close();
  await server?.stop();
});

/** Mostly valid values, so that the rest of the request is checked too. */
const mostly = <Value>(good: readonly Value[], ...odd: Value[]) =>
  fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...good) }, fc.constantFrom(...odd));

const text = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("al", "be") },
  fc.constantFrom(
    "",
    "..",
    "a\0b",
    "\u200d",
    "ä",
    "a@example.com",
    "user.locked",
    "*",
    "%",
    "x".repeat(300),
    "9".repeat(40),
  ),
  fc.string({ unit: "binary", maxLength: 5 }),
);
const EXTREMES = [1n << 53n, 253_402_300_799n, 253_402_300_800n, -62_135_596_801n, (1n << 63n) - 1n, -(1n << 63n)];
const seconds = mostly([0n, 1n, 60n, 4_000_000_000n], -1n, ...EXTREMES);
const nanos = mostly([0, 1, 999_999_999], -1, 1_000_000_000, 2 ** 31 - 1, -(2 ** 31));
const double = mostly([0, 1.5], -0, 1e300, Number.MAX_SAFE_INTEGER + 1, Number.NaN, Number.POSITIVE_INFINITY);
const number = mostly([0, 1, 2], 99, 1_000, 1_001, 2 ** 31 - 1);
const data = fc.dictionary(text, fc.oneof(text, double, fc.constant(null), fc.array(text, { maxLength: 2 })), {
  maxKeys: 3,
});

const SCALARS: Partial<Record<ScalarType, Arbitrary<unknown>>> = {
  [ScalarType.STRING]: text,
  [ScalarType.BOOL]: fc.boolean(),
  [ScalarType.UINT32]: fc.oneof({ weight: 6, arbitrary: number }, fc.constant(2 ** 32 - 1)),
  [ScalarType.UINT64]: mostly([0n, 1n], (1n << 53n) - 1n, 1n << 53n, (1n << 64n) - 1n),
};

type Part = [field: DescField, value: unknown];

/** The value or null, with the weights of the two. */
const maybe = <Value>(value: Arbitrary<Value>, weight: number, ofNull: number) =>
  fc.oneof({ weight, arbitrary: value }, { weight: ofNull, arbitrary: fc.constant(null) });

/** Values for fields of a message, with one field of each oneof. */
function partsOf(desc: DescMessage, levels: number, toValue: typeof valueOfField): Arbitrary<Part[]> {
  const isNear = ({ message }: DescField) => levels > 0 || !message;
  const partOf = (field: DescField) => toValue(field, levels).map((value): Part => [field, value]);
  const members = desc.members.map((member) => (member.kind === "oneof" ? member.fields : [member]).filter(isNear));
  // Another instance, or an organization without users, would end nearly every request early.
  const isPlace = ({ name }: DescField) => name === "instance" || name === "organization";
  const options = members
    .filter((fields) => fields.length > 0)
    .map((fields) => maybe(fc.oneof(...fields.map(partOf)), fields.some(isPlace) ? 1 : 40, 10));
  return fc.tuple(...options).map((parts) => parts.filter((part) => part !== null));
}

/** A message with any possible values of its type, valid or not. */
function messageOf(desc: DescMessage, levels = 5): Arbitrary<Message> {
  if (desc.typeName === "google.protobuf.Timestamp" || desc.typeName === "google.protobuf.Duration") {
    return fc.record({ seconds, nanos }).map((time) => create(desc, time as never));
  }
  return partsOf(desc, levels, valueOfField).map((parts) => {
    const message = create(desc) as unknown as Record<string, unknown>;
    for (const [field, value] of parts) {
      if (field.oneof) message[field.oneof.localName] = { case: field.localName, value };
      else message[field.localName] = value;
    }
    return message as unknown as Message;
  });
}

function valueOfField(field: DescField, levels: number): Arbitrary<unknown> {
  const { message, scalar } = field;
  const isStruct = message?.typeName === "google.protobuf.Struct";
  const ofMessage = message && (isStruct ? data : messageOf(message, levels - 1));
  const one = ofMessage ?? (field.enum ? fc.oneof(number, fc.constant(-1)) : SCALARS[scalar as ScalarType]);
  if (!one) throw new Error(`this test has no values for ${field}`);
  return field.fieldKind === "list" ? fc.array(one, { maxLength: 3 }) : one;
}

/** JSON that may be valid for a message. */
function jsonOf(desc: DescMessage, levels = 5): Arbitrary<JsonValue> {
  return partsOf(desc, levels, jsonOfField).map((parts) =>
    Object.fromEntries(parts.map(([field, value]) => [field.jsonName, value as JsonValue])),
  );
}

const anyJson = fc.oneof(
  text,
  number,
  fc.constantFrom<JsonValue>(null, true, -1, 1.5, [], {}, [null], [{}], { a: 1 }, "1s", "-1.5s", "1.0000000001s"),
  fc.constantFrom<JsonValue>("2027-02-30T00:00:00Z", "2030-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00"),
);

/** JSON of types with their own form. */
const PLAIN: Record<string, Arbitrary<JsonValue>> = {
  "google.protobuf.Timestamp": fc.constantFrom("2030-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"),
  "google.protobuf.Duration": fc.constantFrom("60s", "0s", "-1.5s", "315576000000s"),
  "google.protobuf.Struct": data.map((value) => JSON.parse(JSON.stringify(value))),
};

function jsonOfField(field: DescField, levels: number): Arbitrary<unknown> {
  const { message, scalar } = field;
  const ofMessage = message && (PLAIN[message.typeName] ?? jsonOf(message, levels - 1));
  const ofScalar = scalar === ScalarType.STRING ? text : scalar === ScalarType.BOOL ? fc.boolean() : number;
  const one: Arbitrary<unknown> = ofMessage ?? ofScalar;
  const right = field.fieldKind === "list" ? fc.array(one, { maxLength: 3 }) : one;
  return fc.oneof({ weight: 30, arbitrary: right }, anyJson);
}

const headers = (type: string) => ({ authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": type });
const OURS = [Code.Internal, Code.Unavailable, Code.Unknown, Code.DataLoss].flatMap((code) => [
  code,
  Code[code]?.toLowerCase(),
]);

/** Fails if the answer is a server error. */
async function expectNoFault(method: DescMethodUnary, response: Response, request: unknown): Promise<void> {
  const told = await response.text();
  if (response.ok) return;
  const { code } = JSON.parse(told);
  if (OURS.includes(code) || (response.status >= 500 && response.status !== 501)) {
    throw new Error(
      `${method.name}: ${response.status} ${told}\n${JSON.stringify(request, (_, value) => (typeof value === "bigint" ? `${value}n` : value))}`,
    );
  }
}

const call = (method: DescMethodUnary, type: string, body: Uint8Array | string) =>
  fetch(`${server.url}/${method.parent.typeName}/${method.name}`, {
    method: "POST",
    headers: headers(type),
    body: body as BodyInit,
  });

/** Sends the parts of a document in their REST places. */
function callByRest(method: DescMethodUnary, json: Record<string, JsonValue>): Promise<Response> | undefined {
  const [verb, template, body] = REST_ROUTES[method.name] ?? [];
  if (!verb || !template) return undefined;
  const path = template.replaceAll(
    /\{(\w+)\}/g,
    (_, name: string) => encodeURIComponent(String(json[name] ?? "al").toWellFormed()) || "al",
  );
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(json)) {
    if (body === "*" || name === body || template.includes(`{${name}}`)) continue;
    if (value === null || typeof value !== "object") query.append(name, String(value));
    else for (const [key, inner] of Object.entries(value)) query.append(`${name}.${key}`, String(inner));
  }
  const content = body === "*" ? json : body && json[body];
  return fetch(`${server.url}/resources/v3alpha${path}?${query}`, {
    method: verb,
    headers: headers("application/json"),
    ...(verb !== "GET" && content !== undefined && { body: JSON.stringify(content) }),
  });
}

/** Fifteen values for concurrent requests, so that the test takes only seconds. */
const many = <Value>(value: Arbitrary<Value>) => fc.array(value, { minLength: 15, maxLength: 15 });
const runs = { numRuns: 4 };

describe.each(METHODS.map((method) => [method.name, method] as const))(
  "random requests to %s never cause a server error",
  (_name, method) => {
    test("in Protobuf, intact or damaged", async () => {
      const damaged = fc.record({
        message: messageOf(method.input),
        at: fc.nat(200),
        byte: maybe(fc.nat(255), 1, 4),
      });
      await fc.assert(
        fc.asyncProperty(many(damaged), async (requests) => {
          await Promise.all(
            requests.map(async ({ message, at, byte }) => {
              const bytes = toBinary(method.input, message);
              if (byte !== null && at < bytes.byteLength) bytes[at] = byte;
              await expectNoFault(method, await call(method, "application/proto", bytes), message);
            }),
          );
        }),
        runs,
      );
    });

    test("in JSON", async () => {
      await fc.assert(
        fc.asyncProperty(many(jsonOf(method.input)), async (requests) => {
          await Promise.all(
            requests.map(async (json) => {
              const document = JSON.stringify(json);
              await expectNoFault(method, await call(method, "application/json", document), json);
              const response = await callByRest(method, json as Record<string, JsonValue>);
              if (response) await expectNoFault(method, response, json);
            }),
          );
        }),
        runs,
      );
    });
  },
);

test("after random requests all lists can be read, and the server logged no error", async () => {
  for (const method of [
    UserService.method.searchUsers,
    AccessService.method.listTokens,
    EventService.method.listEvents,
  ]) {
    expect((await door.call(method as DescMethodUnary, {}, asOwner)).code).toBe("OK");
    const response = await call(method, "application/json", "{}");
    expect(response.status).toBe(200);
  }
  expect(server.stderr()).toBe("");
});

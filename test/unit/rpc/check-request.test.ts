// Proves that requests are checked against every rule of the contract.
import {
  create,
  type DescField,
  type DescMessage,
  type DescOneof,
  fromJson,
  getExtension,
  getOption,
  hasExtension,
  isFieldSet,
  type JsonObject,
  type Message,
  type MessageShape,
} from "@bufbuild/protobuf";
import { DurationSchema, TimestampSchema } from "@bufbuild/protobuf/wkt";
import {
  FieldRulesSchema,
  field as fieldRules,
  message as messageRules,
  oneof as oneofRules,
  StringRulesSchema,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { AccessService, CreateTokenRequestSchema, Role } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { EventService, ListEventsRequestSchema } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { file_userlock_v3alpha_options } from "../../../gen/userlock/v3alpha/options_pb.ts";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { SetLockoutPolicyRequestSchema, SettingsService } from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import {
  BatchUnlockUsersRequestSchema,
  LockUserRequestSchema,
  SearchFilterSchema,
  SearchUsersRequestSchema,
  UserService,
} from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { DomainError, type FieldViolation } from "../../../src/domain/errors.ts";
import { checkRequest } from "../../../src/rpc/check-request.ts";
import { createRequestValidator } from "../../../src/rpc/validator.ts";

const SERVICES = [UserService, SessionService, SettingsService, AccessService, EventService];
const MAX_LEVELS = 3;
const validator = createRequestValidator();

/** The violations that the check finds in the request. */
function violationsOf(desc: DescMessage, request: Message): readonly FieldViolation[] {
  try {
    checkRequest(validator, desc, request);
    return [];
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    expect(error.reason).toBe("INVALID_REQUEST");
    return error.violations;
  }
}

const fieldsOf = (desc: DescMessage, request: Message) => violationsOf(desc, request).map(({ field }) => field);

/** A broken rule of the contract: the fields that lead to the message, and how the rule is broken. */
interface Breach {
  rule: string;
  route: readonly DescField[];
  target: DescMessage;
  breaking: (message: Message) => void;
  /** The field that the violation names within the message; "" for the message itself. */
  names: string;
}

/** Values that break each field rule. A missing field breaks "required". */
const FIELD_BREACHES: Record<string, (limit: never, field: DescField) => unknown[]> = {
  "string.min_len": () => [""],
  "string.max_len": (limit: bigint) => ["a".repeat(Number(limit) + 1)],
  "string.lock_reason": () => ["", "a b", "a\n", "a".repeat(65)],
  "string.phone_number": () => ["", "\n", "12", "+1+2", "1".repeat(41)],
  "string.event_type": () => ["", "\n", "user", "User.locked"],
  "string.email": () => ["nobody"],
  "string.ip": () => ["a", "1.2.3", "1.2.3.4/8"],
  "string.identifier": () => ["a b", "..", "a".repeat(201)],
  "string.secret": () => ["", "a".repeat(1_001)],
  "string.text": () => ["a\0b"],
  "string.login_name": () => ["", " a", "a\n"],
  "enum.defined_only": () => [99, -1],
  "enum.not_in": (numbers: number[]) => numbers,
  "uint32.lte": (limit: number) => [limit + 1],
  "uint64.lte": (limit: bigint) => [limit + 1n],
  "duration.gt": () => [create(DurationSchema), create(DurationSchema, { seconds: -1n })],
  "duration.gte": () => [create(DurationSchema, { seconds: -1n })],
  "duration.lte": (limit: { seconds: bigint }) => [create(DurationSchema, { seconds: limit.seconds + 1n })],
  "timestamp.gt_now": () => [create(TimestampSchema)],
  "repeated.min_items": () => [[]],
  "repeated.max_items": (limit: bigint, { message }: DescField) => [
    Array.from({ length: Number(limit) + 1 }, () => (message ? create(message) : "a")),
  ],
};

/** Messages that break each message rule. */
const MESSAGE_BREACHES: Record<string, JsonObject> = {
  "batch.ids_or_filters": { ids: ["a"], filters: [{ userIdFilter: { id: "a" } }] },
  "batch.pages_of_filters": { ids: ["a"], limit: 1 },
  "lock_filter.condition": {},
  "search_users.cursor_or_offset": { cursor: "a", query: { offset: 1 } },
};

type Rules = MessageShape<typeof FieldRulesSchema>;

/** Names and limits of the rules that are set. */
function limitsOf({ type }: Rules): [rule: string, limit: unknown][] {
  if (type.case === undefined) return [];
  const { value } = type as { value: Message };
  const desc = FieldRulesSchema.fields.find(({ localName }) => localName === type.case)?.message as DescMessage;
  const own = desc.fields
    .filter((field) => field.name !== "items" && isFieldSet(value, field as never))
    .map((field): [string, unknown] => {
      const holder = value as unknown as Record<string, { value: unknown }>;
      return [
        `${type.case}.${field.name}`,
        field.oneof ? holder[field.oneof.localName]?.value : holder[field.localName],
      ];
    });
  const shared = file_userlock_v3alpha_options.extensions
    .filter(({ extendee }) => extendee.typeName === StringRulesSchema.typeName)
    .filter((extension) => desc.typeName === extension.extendee.typeName && hasExtension(value, extension))
    .map((extension): [string, unknown] => [`string.${extension.name}`, getExtension(value, extension)]);
  return [...own, ...shared];
}

function breachesOfField(field: DescField): { rule: string; value: unknown; isItem: boolean }[] {
  const rules = getOption(field, fieldRules);
  const items = rules.type.case === "repeated" ? rules.type.value.items : undefined;
  const required = rules.required ? [{ rule: "required", value: undefined, isItem: false }] : [];
  const of = (each: Rules, isItem: boolean) =>
    limitsOf(each).flatMap(([rule, limit]) => {
      const toValues = FIELD_BREACHES[rule];
      if (!toValues) throw new Error(`FIELD_BREACHES has no value that breaks ${rule} of ${field}`);
      const values = toValues(limit as never, field).filter((value) => !(each.ignore && value === ""));
      return values.map((value) => ({ rule, value: isItem ? [value] : value, isItem }));
    });
  return [...required, ...of(rules, false), ...(items ? of(items, true) : [])];
}

function set(message: Message, field: DescField, value: unknown): void {
  const holder = message as unknown as Record<string, unknown>;
  if (!field.oneof) holder[field.localName] = value;
  else if (value === undefined) holder[field.oneof.localName] = { case: undefined };
  else holder[field.oneof.localName] = { case: field.localName, value };
}

function breachesOf(target: DescMessage, route: readonly DescField[]): Breach[] {
  const breaches: Breach[] = [];
  for (const field of target.fields) {
    for (const { rule, value, isItem } of breachesOfField(field)) {
      const names = isItem ? `${field.name}[0]` : field.name;
      breaches.push({ rule, route, target, breaking: (message) => set(message, field, value), names });
    }
  }
  for (const _oneof of target.oneofs.filter((each: DescOneof) => getOption(each, oneofRules).required)) {
    breaches.push({ rule: "oneof.required", route, target, breaking: () => {}, names: "" });
  }
  for (const { id } of getOption(target, messageRules).cel) {
    const json = MESSAGE_BREACHES[id];
    if (!json) throw new Error(`MESSAGE_BREACHES has no message that breaks ${id}`);
    breaches.push({
      rule: id,
      route,
      target,
      breaking: (message) => Object.assign(message, fromJson(target, json)),
      names: "",
    });
  }
  return breaches;
}

/** Every rule that a request can break, including nested filters up to MAX_LEVELS deep. */
function allBreaches(target: DescMessage, route: readonly DescField[] = []): Breach[] {
  const inner = target.fields.flatMap((field) => {
    const desc = field.message;
    if (!desc || desc.typeName.startsWith("google.protobuf.")) return [];
    const levels = [...route, field].filter(({ message }) => message === SearchFilterSchema).length;
    return levels > MAX_LEVELS ? [] : allBreaches(desc, [...route, field]);
  });
  return [...breachesOf(target, route), ...inner];
}

/** A request that breaks the rule, and the path of the violation. */
function broken(root: DescMessage, { route, target, breaking, names }: Breach): { request: Message; path: string } {
  const request = create(root);
  let message = request;
  const path: string[] = [];
  for (const field of route) {
    const next = create(field.message as DescMessage);
    set(message, field, field.fieldKind === "list" ? [next] : next);
    path.push(field.fieldKind === "list" ? `${field.name}[0]` : field.name);
    message = next;
  }
  expect(message.$typeName).toBe(target.typeName);
  breaking(message);
  return { request, path: [...path, names].filter(Boolean).join(".") };
}

const METHODS = SERVICES.flatMap((service) => service.methods);

describe("every rule of the contract is enforced", () => {
  test.each(METHODS.map((method) => [method.name, method.input] as const))("in a request of %s", (_name, input) => {
    for (const breach of allBreaches(input)) {
      const { request, path } = broken(input, breach);
      const fields = fieldsOf(input, request);
      if (!fields.includes(path)) throw new Error(`${breach.rule} of ${path} is not enforced: ${fields}`);
    }
  });

  test.each([1, 2, 3])("in filters at depth %i as at depth 1", (levels) => {
    const depthOf = ({ route }: Breach) => route.filter(({ message }) => message === SearchFilterSchema).length;
    const at = (depth: number) =>
      new Set(
        allBreaches(SearchUsersRequestSchema)
          .filter((breach) => depthOf(breach) === depth)
          .map(({ rule, target, names }) => `${rule} ${target.typeName}.${names}`),
      );
    expect(at(levels).size).toBeGreaterThan(25);
    expect(at(levels)).toEqual(at(1));
  });
});

const filters = (...list: JsonObject[]) => fromJson(SearchUsersRequestSchema, { filters: list });

test.each<[path: string, filter: JsonObject]>([
  [
    "filters[1].or_filter.queries[1].state_filter.state",
    { orFilter: { queries: [{ userIdFilter: { id: "a" } }, { stateFilter: {} }] } },
  ],
  ["filters[1].not_filter.query.lock_filter", { notFilter: { query: { lockFilter: {} } } }],
  ["filters[1].and_filter.queries[0]", { andFilter: { queries: [{}] } }],
  ["filters[1].not_filter.query.lock_filter.cause", { notFilter: { query: { lockFilter: { cause: 7 } } } }],
])("a violation names its path: %s", (path, filter) => {
  expect(fieldsOf(SearchUsersRequestSchema, filters({ userIdFilter: { id: "a" } }, filter))).toEqual([path]);
});

test.each<[what: string, filter: JsonObject]>([
  ["a filter for unlocked users", { lockFilter: { locked: false } }],
  ["a filter for locked users", { lockFilter: { locked: true } }],
  ["a filter for a lock cause", { lockFilter: { cause: "LOCK_CAUSE_MANUAL" } }],
  ["a filter for a lock reason", { lockFilter: { reason: "fraud" } }],
  ["a filter for the time of the lock", { lockFilter: { sinceAfter: "2026-01-01T00:00:00Z" } }],
  ["a filter for one character of an address", { emailFilter: { address: "@" } }],
])("%s is accepted at every depth", (_what, filter) => {
  const deeper = [
    filter,
    { notFilter: { query: filter } },
    { orFilter: { queries: [{ andFilter: { queries: [filter] } }] } },
  ];
  for (const each of deeper) expect(fieldsOf(SearchUsersRequestSchema, filters(each))).toEqual([]);
});

test.each<[why: string, count: number, depth: number, fields: string[]]>([
  ["a search with 100 filters is accepted", 100, 1, []],
  ["a search with 101 filters is refused", 101, 1, ["filters"]],
  ["a filter with 10 levels is accepted", 1, 10, []],
  ["a filter with 11 levels is refused", 1, 11, ["filters"]],
])("%s", (_why, count, depth, fields) => {
  let filter: JsonObject = { userIdFilter: { id: "a" } };
  for (let level = 1; level < depth; level++) filter = { notFilter: { query: filter } };
  const request = fromJson(BatchUnlockUsersRequestSchema, { filters: Array(count).fill(filter) });
  expect(fieldsOf(BatchUnlockUsersRequestSchema, request)).toEqual(fields);
});

const FIRST = -62_135_596_800n;
const LAST = 253_402_300_799n;

test.each<[seconds: bigint, nanos: number, isGood: boolean]>([
  [FIRST, 0, true],
  [LAST, 999_999_999, true],
  [0n, 0, true],
  [-1n, 1, true],
  [FIRST - 1n, 999_999_999, false],
  [LAST + 1n, 0, false],
  [2n ** 63n - 1n, 0, false],
  [-(2n ** 63n), 0, false],
  [0n, -1, false],
  [0n, 1_000_000_000, false],
])("a timestamp of %d seconds and %d nanoseconds is valid: %p", (seconds, nanos, isGood) => {
  const time = create(TimestampSchema, { seconds, nanos });
  const field = isGood ? [] : ["since"];
  expect(fieldsOf(ListEventsRequestSchema, create(ListEventsRequestSchema, { since: time }))).toEqual(field);
  const inFilter = create(SearchUsersRequestSchema, {
    filters: [{ filter: { case: "lockFilter", value: { untilBefore: time } } }],
  });
  const path = isGood ? [] : ["filters[0].lock_filter.until_before"];
  expect(fieldsOf(SearchUsersRequestSchema, inFilter)).toEqual(path);
});

test("a token that expires after the year 9999 is refused", () => {
  const expires = create(TimestampSchema, { seconds: LAST + 1n });
  const request = create(CreateTokenRequestSchema, { subject: "a", grants: [{ role: Role.GATEWAY }], expires });
  expect(fieldsOf(CreateTokenRequestSchema, request)).toEqual(["expires"]);
});

const LONGEST = 315_576_000_000n;

test.each<[seconds: bigint, nanos: number, isGood: boolean]>([
  [LONGEST, 0, true],
  [1n, 999_999_999, true],
  [0n, 1, true],
  [LONGEST + 1n, 0, false],
  [2n ** 63n - 1n, 0, false],
  [1n, -1, false],
  [1n, 1_000_000_000, false],
])("a duration of %d seconds and %d nanoseconds is valid: %p", (seconds, nanos, isGood) => {
  const value = create(DurationSchema, { seconds, nanos });
  const request = create(LockUserRequestSchema, { id: "a", end: { case: "duration", value } });
  expect(fieldsOf(LockUserRequestSchema, request)).toEqual(isGood ? [] : ["duration"]);
  const policy = create(SetLockoutPolicyRequestSchema, {
    policy: { window: create(DurationSchema, { seconds: -seconds, nanos }) },
  });
  expect(fieldsOf(SetLockoutPolicyRequestSchema, policy)).toEqual(["policy.window"]);
});

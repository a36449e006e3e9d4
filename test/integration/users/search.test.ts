// Proves that SearchUsers applies filters, order and pages.
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  FieldName,
  type SearchFilterSchema,
  State,
  TextFilterMethod,
  UserService,
} from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../../support/access.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const { createUser, searchUsers, lockUser, deactivateUser, deleteUser } = UserService.method;
const { EQUALS, EQUALS_IGNORE_CASE, STARTS_WITH, STARTS_WITH_IGNORE_CASE, CONTAINS } = TextFilterMethod;

type Filter = NonNullable<MessageInitShape<typeof SearchFilterSchema>["filter"]>;

let server: ServerProcess;
let doors: Door[] = [];
const tokens: Record<string, string> = { owner: ADMIN_TOKEN };
const NAMES = ["REST", "Connect JSON, ZITADELUsers", "gRPC, UserService"];

/** The users of the tables, in order of creation. */
const USERS: {
  id: string;
  org?: string;
  email?: string;
  phone?: string;
  schema?: [id: string, type: string];
  names?: [name: string, specific: boolean][];
  after?: ("lock" | "deactivate" | "delete")[];
}[] = [
  {
    id: "ada",
    org: "a",
    email: "Ada@Example.com",
    phone: "+41 1",
    schema: ["s1", "Person"],
    names: [["Lovelace", true]],
  },
  { id: "bob", org: "a", email: "bob@example.com", names: [["bob", false]], after: ["lock"] },
  { id: "cyd", org: "b", email: "cyd@other.org", phone: "+41 2", names: [["100%_sure", false]], after: ["deactivate"] },
  { id: "dan", schema: ["s2", "robot"], names: [["Äpfel", false]], after: ["deactivate", "lock"] },
  { id: "eve", phone: "+1 3", schema: ["s1", "person"] },
  { id: "fay", org: "a", email: "fay@example.com", after: ["delete"] },
];

beforeAll(async () => {
  server = await startServer();
  doors = openDoors(server.url);
  const [door] = doors as [Door];
  const asOwner = { token: ADMIN_TOKEN };
  for (const { id, org, email, phone, schema, names, after } of USERS) {
    const created = await door.call(
      createUser,
      {
        ...(org && { organization: { property: { case: "orgId", value: org } } }),
        user: {
          userId: id,
          schemaId: schema?.[0] ?? "",
          schemaType: schema?.[1] ?? "",
          contact: { ...(email && { email: { address: email } }), ...(phone && { phone: { number: phone } }) },
          authenticators: {
            usernames: (names ?? []).map(([username, isOrganizationSpecific]) => ({
              username,
              isOrganizationSpecific,
            })),
          },
        },
      },
      asOwner,
    );
    expect(created.code).toBe("OK");
    const methods = { lock: lockUser, deactivate: deactivateUser, delete: deleteUser };
    for (const step of after ?? []) expect((await door.call(methods[step], { id }, asOwner)).code).toBe("OK");
  }
  const make = tokenMaker(server.url, ADMIN_TOKEN);
  tokens.viewerOfA = (await make.create("viewer-a", ["ORG_VIEWER", "a"])).secret;
  tokens.viewerOfAandB = (await make.create("viewer-ab", ["ORG_VIEWER", "a"], ["ORG_VIEWER", "b"])).secret;
  tokens.gateway = (await make.create("gateway", ["GATEWAY"])).secret;
});

afterAll(async () => {
  for (const door of doors) door.close();
  await server?.stop();
});

const not = (filter: Filter): Filter => ({ case: "notFilter", value: { query: { filter } } });
const or = (...filters: Filter[]): Filter => ({
  case: "orFilter",
  value: { queries: filters.map((filter) => ({ filter })) },
});
const and = (...filters: Filter[]): Filter => ({
  case: "andFilter",
  value: { queries: filters.map((filter) => ({ filter })) },
});
const userId = (id: string, method: TextFilterMethod = EQUALS): Filter => ({
  case: "userIdFilter",
  value: { id, method },
});
const org = (id: string, method: TextFilterMethod = EQUALS): Filter => ({
  case: "organizationIdFilter",
  value: { id, method },
});
const name = (username: string, method: TextFilterMethod, isOrganizationSpecific = false): Filter => ({
  case: "usernameFilter",
  value: { username, method, isOrganizationSpecific },
});
const email = (address: string, method: TextFilterMethod): Filter => ({
  case: "emailFilter",
  value: { address, method },
});
const phone = (number: string, method: TextFilterMethod): Filter => ({
  case: "phoneFilter",
  value: { number, method },
});
const state = (value: State): Filter => ({ case: "stateFilter", value: { state: value } });
const text = (value: string): Filter => ({ case: "textFilter", value: { text: value } });
const schemaId = (id: string): Filter => ({ case: "schemaIdFilter", value: { id } });
const schemaType = (type: string, method: TextFilterMethod): Filter => ({
  case: "schemaTypeFilter",
  value: { type, method },
});

const ALL = ["ada", "bob", "cyd", "dan", "eve"];

const FILTERS: [what: string, filters: Filter[], found: string[]][] = [
  ["no filter, which excludes only the deleted", [], ALL],
  ["an id", [userId("bob")], ["bob"]],
  ["an id in another case", [userId("BOB")], []],
  ["an id, ignoring case", [userId("BOB", EQUALS_IGNORE_CASE)], ["bob"]],
  ["the start of an id", [userId("d", STARTS_WITH)], ["dan"]],
  ["a part of an id", [userId("a", CONTAINS)], ["ada", "dan"]],
  ["an organization", [org("a")], ["ada", "bob"]],
  ["an organization with the instance's id, which has no users", [org("default")], []],
  ["a part of a user name", [name("ove", CONTAINS)], ["ada"]],
  ["a user name with SQL wildcards in it", [name("100%_", STARTS_WITH)], ["cyd"]],
  ["an SQL wildcard, which is plain text", [name("1_0", STARTS_WITH)], []],
  ["a non-ASCII user name, ignoring case", [name("äP", STARTS_WITH_IGNORE_CASE)], ["dan"]],
  ["an organization's user names, without a match", [name("b", STARTS_WITH, true)], []],
  ["an organization's user names", [name("Love", STARTS_WITH, true)], ["ada"]],
  ["an email address in another case", [email("ada@example.com", EQUALS)], []],
  ["an email address, ignoring case", [email("ada@example.com", EQUALS_IGNORE_CASE)], ["ada"]],
  ["a part of an email address", [email("example", CONTAINS)], ["bob"]],
  [
    "not a part of an email address, including users without one",
    [not(email("@example", CONTAINS))],
    ["ada", "cyd", "dan", "eve"],
  ],
  ["the start of a phone number", [phone("+41", STARTS_WITH)], ["ada", "cyd"]],
  ["the state active", [state(State.USER_STATE_ACTIVE)], ["ada", "eve"]],
  ["the state inactive, without locked users", [state(State.USER_STATE_INACTIVE)], ["cyd"]],
  ["the state locked, active or inactive", [state(State.USER_STATE_LOCKED)], ["bob", "dan"]],
  ["the state deleted, which is never shown", [state(State.USER_STATE_DELETED)], []],
  ["any text that is in an id, in another case", [text("DA")], ["ada", "dan"]],
  ["any text that is in an organization's user name, in another case", [text("LOVE")], ["ada"]],
  ["any text that is in a non-ASCII user name, in another case", [text("ÄPF")], ["dan"]],
  ["any text that is in an email address, in another case", [text("a@eXample")], ["ada"]],
  ["any text with an SQL wildcard", [text("0%_S")], ["cyd"]],
  ["any text that is in no user, but in the claims of their names", [text("username")], []],
  ["any text that is in an organization's id only", [text('"a"')], []],
  ["not any text", [not(text("a"))], ["cyd", "eve"]],
  ["any text and a state", [text("an"), state(State.USER_STATE_LOCKED)], ["dan"]],
  ["a schema id", [schemaId("s1")], ["ada", "eve"]],
  ["a schema type, ignoring case", [schemaType("PERSON", EQUALS_IGNORE_CASE)], ["ada", "eve"]],
  ["a schema type", [schemaType("person", EQUALS)], ["eve"]],
  ["several filters, which must all match", [org("a"), state(State.USER_STATE_LOCKED)], ["bob"]],
  ["a disjunction", [or(userId("ada"), userId("eve"), userId("nobody"))], ["ada", "eve"]],
  ["a conjunction", [and(org("a"), not(userId("ada")))], ["bob"]],
  [
    "nested filters",
    [not(or(and(org("a"), state(State.USER_STATE_LOCKED)), not(or(org("a"), org("b")))))],
    ["ada", "cyd"],
  ],
];

const ORDERS: [column: FieldName, ascending: string[]][] = [
  [FieldName.UNSPECIFIED, ALL],
  [FieldName.ID, ALL],
  [FieldName.CREATION_DATE, ALL],
  [FieldName.CHANGE_DATE, ALL],
  [FieldName.EMAIL, ["dan", "eve", "ada", "bob", "cyd"]],
  [FieldName.PHONE, ["bob", "dan", "eve", "ada", "cyd"]],
  [FieldName.STATE, ["ada", "eve", "cyd", "bob", "dan"]],
  [FieldName.SCHEMA_ID, ["bob", "cyd", "ada", "eve", "dan"]],
  [FieldName.SCHEMA_TYPE, ["bob", "cyd", "ada", "eve", "dan"]],
];

describe.each(NAMES)("SearchUsers over %s", (doorName) => {
  async function search(request: MessageInitShape<typeof searchUsers.input>, token = "owner") {
    const door = doors.find((candidate) => candidate.name === doorName) as Door;
    const answer = await door.call(searchUsers, request, { token: tokens[token] });
    return { ...answer, ids: answer.response?.result.map((user) => user.details?.id) };
  }

  test.each(FILTERS)("finds users by %s", async (_what, filters, found) => {
    const { response, ids } = await search({
      filters: filters.map((filter) => ({ filter })),
      sortingColumn: FieldName.ID,
    });
    expect(ids).toEqual(found);
    expect(response?.details?.totalResult).toBe(BigInt(found.length));
  });

  test.each(ORDERS)("sorts by column %s in both directions", async (sortingColumn, ascending) => {
    expect((await search({ sortingColumn })).ids).toEqual(ascending);
    expect((await search({ sortingColumn, query: { desc: true } })).ids).toEqual([...ascending].reverse());
  });

  test("pages by offset and limit, with the total of all pages", async () => {
    const { response, ids } = await search({ query: { offset: 1n, limit: 2 }, sortingColumn: FieldName.ID });
    expect(ids).toEqual(["bob", "cyd"]);
    expect(response?.details).toMatchObject({ appliedLimit: 2n, totalResult: 5n });
    const beyond = await search({ query: { offset: 99n } });
    expect(beyond).toMatchObject({ ids: [], response: { details: { appliedLimit: 100n, totalResult: 5n } } });
  });

  test.each([
    ["viewerOfA", ["ada", "bob"]],
    ["viewerOfAandB", ["ada", "bob", "cyd"]],
  ])("returns to %s only the users that they may read", async (token, found) => {
    const { response, ids } = await search({ sortingColumn: FieldName.ID }, token);
    expect(ids).toEqual(found);
    expect(response?.details?.totalResult).toBe(BigInt(found.length));
    expect((await search({ filters: [{ filter: not(userId("ada")) }] }, token)).ids).not.toContain("eve");
  });

  const deep = (levels: number): Filter => (levels === 0 ? userId("ada") : not(deep(levels - 1)));
  const INVALID: [what: string, request: MessageInitShape<typeof searchUsers.input>][] = [
    ["a limit of 1001", { query: { limit: 1001 } }],
    ["an empty filter", { filters: [{}] }],
    ["an empty disjunction", { filters: [{ filter: or() }] }],
    ["an empty negation", { filters: [{ filter: { case: "notFilter", value: {} } }] }],
    ["the state UNSPECIFIED", { filters: [{ filter: state(State.USER_STATE_UNSPECIFIED) }] }],
    ["101 filters", { filters: Array.from({ length: 101 }, () => ({ filter: userId("x") })) }],
    ["filters with 11 levels", { filters: [{ filter: deep(10) }] }],
  ];
  test.each(INVALID)("refuses %s", async (_what, request) => {
    expect(await search(request)).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST" });
  });

  test("accepts filters with 10 levels", async () => {
    expect((await search({ filters: [{ filter: deep(9) }] })).code).toBe("OK");
  });

  test("refuses a caller who may not read users", async () => {
    expect(await search({}, "gateway")).toMatchObject({ code: "PERMISSION_DENIED", reason: "PERMISSION_MISSING" });
  });
});

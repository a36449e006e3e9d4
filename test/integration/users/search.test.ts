// Proves that users are found by filters, in order, page by page.
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

/** The users that the table is about, in the order of their creation. */
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
const schemaId = (id: string): Filter => ({ case: "schemaIdFilter", value: { id } });
const schemaType = (type: string, method: TextFilterMethod): Filter => ({
  case: "schemaTypeFilter",
  value: { type, method },
});

const ALL = ["ada", "bob", "cyd", "dan", "eve"];

const FILTERS: [what: string, filters: Filter[], found: string[]][] = [
  ["no filter: all but the deleted", [], ALL],
  ["id equals", [userId("bob")], ["bob"]],
  ["id equals, another case", [userId("BOB")], []],
  ["id equals, ignoring case", [userId("BOB", EQUALS_IGNORE_CASE)], ["bob"]],
  ["id starts with", [userId("d", STARTS_WITH)], ["dan"]],
  ["id contains", [userId("a", CONTAINS)], ["ada", "dan"]],
  ["organization", [org("a")], ["ada", "bob"]],
  ["organization: not that of an instance's user", [org("default")], []],
  ["user name contains", [name("ove", CONTAINS)], ["ada"]],
  ["user name with the wildcards of SQL in it", [name("100%_", STARTS_WITH)], ["cyd"]],
  ["user name: wildcards are text", [name("1_0", STARTS_WITH)], []],
  ["user name beyond ASCII, ignoring case", [name("äP", STARTS_WITH_IGNORE_CASE)], ["dan"]],
  ["user names of an organization only", [name("b", STARTS_WITH, true)], []],
  ["user names of an organization only, found", [name("Love", STARTS_WITH, true)], ["ada"]],
  ["email equals, another case", [email("ada@example.com", EQUALS)], []],
  ["email equals, ignoring case", [email("ada@example.com", EQUALS_IGNORE_CASE)], ["ada"]],
  ["email contains", [email("example", CONTAINS)], ["bob"]],
  ["no email like this: also who has none", [not(email("@example", CONTAINS))], ["ada", "cyd", "dan", "eve"]],
  ["phone starts with", [phone("+41", STARTS_WITH)], ["ada", "cyd"]],
  ["active", [state(State.USER_STATE_ACTIVE)], ["ada", "eve"]],
  ["inactive: not locked", [state(State.USER_STATE_INACTIVE)], ["cyd"]],
  ["locked: active or inactive", [state(State.USER_STATE_LOCKED)], ["bob", "dan"]],
  ["deleted: shown to nobody", [state(State.USER_STATE_DELETED)], []],
  ["schema id", [schemaId("s1")], ["ada", "eve"]],
  ["schema type, ignoring case", [schemaType("PERSON", EQUALS_IGNORE_CASE)], ["ada", "eve"]],
  ["schema type equals", [schemaType("person", EQUALS)], ["eve"]],
  ["several filters: all of them", [org("a"), state(State.USER_STATE_LOCKED)], ["bob"]],
  ["or", [or(userId("ada"), userId("eve"), userId("nobody"))], ["ada", "eve"]],
  ["and", [and(org("a"), not(userId("ada")))], ["bob"]],
  ["nested", [not(or(and(org("a"), state(State.USER_STATE_LOCKED)), not(or(org("a"), org("b")))))], ["ada", "cyd"]],
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

  test.each(FILTERS)("%s", async (_what, filters, found) => {
    const { response, ids } = await search({
      filters: filters.map((filter) => ({ filter })),
      sortingColumn: FieldName.ID,
    });
    expect(ids).toEqual(found);
    expect(response?.details?.totalResult).toBe(BigInt(found.length));
  });

  test.each(ORDERS)("sorted by column %s, both ways", async (sortingColumn, ascending) => {
    expect((await search({ sortingColumn })).ids).toEqual(ascending);
    expect((await search({ sortingColumn, query: { desc: true } })).ids).toEqual([...ascending].reverse());
  });

  test("offset and limit page through; the total is that of all pages", async () => {
    const { response, ids } = await search({ query: { offset: 1n, limit: 2 }, sortingColumn: FieldName.ID });
    expect(ids).toEqual(["bob", "cyd"]);
    expect(response?.details).toMatchObject({ appliedLimit: 2n, totalResult: 5n });
    const beyond = await search({ query: { offset: 99n } });
    expect(beyond).toMatchObject({ ids: [], response: { details: { appliedLimit: 100n, totalResult: 5n } } });
  });

  test.each([
    ["viewerOfA", ["ada", "bob"]],
    ["viewerOfAandB", ["ada", "bob", "cyd"]],
  ])("%s sees what he may read", async (token, found) => {
    const { response, ids } = await search({ sortingColumn: FieldName.ID }, token);
    expect(ids).toEqual(found);
    expect(response?.details?.totalResult).toBe(BigInt(found.length));
    expect((await search({ filters: [{ filter: not(userId("ada")) }] }, token)).ids).not.toContain("eve");
  });

  const deep = (levels: number): Filter => (levels === 0 ? userId("ada") : not(deep(levels - 1)));
  const INVALID: [what: string, request: MessageInitShape<typeof searchUsers.input>][] = [
    ["a limit of 1001", { query: { limit: 1001 } }],
    ["a filter that is empty", { filters: [{}] }],
    ["an or of nothing", { filters: [{ filter: or() }] }],
    ["a not of nothing", { filters: [{ filter: { case: "notFilter", value: {} } }] }],
    ["a state that is none", { filters: [{ filter: state(State.USER_STATE_UNSPECIFIED) }] }],
    ["101 filters", { filters: Array.from({ length: 101 }, () => ({ filter: userId("x") })) }],
    ["filters nested 11 deep", { filters: [{ filter: deep(10) }] }],
  ];
  test.each(INVALID)("refused: %s", async (_what, request) => {
    expect(await search(request)).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_REQUEST" });
  });

  test("filters nested 10 deep are served", async () => {
    expect((await search({ filters: [{ filter: deep(9) }] })).code).toBe("OK");
  });

  test("who may not read users is refused", async () => {
    expect(await search({}, "gateway")).toMatchObject({ code: "PERMISSION_DENIED", reason: "PERMISSION_MISSING" });
  });
});

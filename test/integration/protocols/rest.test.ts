// Proves that every route of the contract is served over REST.
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

let server: ServerProcess;

beforeAll(async () => {
  server = await startServer({ USERLOCK_INSTANCE_ID: "main", USERLOCK_INSTANCE_DOMAINS: "id.example.com" });
});

afterAll(async () => {
  await server?.stop();
});

interface RestAnswer {
  status: number;
  json: Record<string, unknown> & {
    code?: number;
    details?: { reason?: string; fieldViolations?: { field: string }[] }[];
  };
}

async function send(verb: string, path: string, body?: string, type = "application/json"): Promise<RestAnswer> {
  const response = await fetch(`${server.url}/resources/v3alpha${path}`, {
    method: verb,
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, ...(body !== undefined && { "content-type": type }) },
    ...(body !== undefined && { body }),
  });
  return { status: response.status, json: (await response.json()) as RestAnswer["json"] };
}

let users = 0;
async function newUser(query = ""): Promise<string> {
  const userId = `rest-${++users}`;
  expect(await send("POST", `/users${query}`, JSON.stringify({ userId }))).toMatchObject({ status: 201 });
  return userId;
}

const reasonOf = ({ json }: RestAnswer) => json.details?.map(({ reason }) => reason).find(Boolean);
const fieldsOf = ({ json }: RestAnswer) =>
  json.details?.flatMap(({ fieldViolations }) => fieldViolations ?? []).map(({ field }) => field);

describe("what is neither in the path nor in the body comes from the query", () => {
  test.each([
    ["JSON names", "?organization.orgId=a"],
    ["names of the proto file", "?organization.org_id=a"],
    ["percent-encoded", "?organization%2EorgId=%61"],
    ["the instance too", "?instance.id=main&organization.orgId=a"],
    ["a domain of the instance, in any case", "?instance.domain=ID.example.com&organization.orgId=a"],
  ])("%s", async (_what, query) => {
    const id = await newUser(query);
    expect((await send("GET", `/users/${id}`)).json).toMatchObject({
      user: { details: { owner: { type: "OWNER_TYPE_ORG", id: "a" } } },
    });
  });

  test("a nested number of 64 bits, a number of 32 bits, a boolean, an enum by name and by number", async () => {
    const search = (query: string) => send("POST", `/users/_search${query}`, "[]");
    const byName = await search("?query.offset=1&query.limit=2&query.desc=true&sortingColumn=FIELD_NAME_ID");
    expect(byName).toMatchObject({ status: 200, json: { details: { appliedLimit: "2" } } });
    expect((await search("?query.offset=1&query.limit=2&query.desc=true&sorting_column=1")).json.result).toEqual(
      byName.json.result,
    );
  });

  test("a lock's reason and note may come in the query, where there is no body", async () => {
    const id = await newUser();
    expect(await send("POST", `/users/${id}/_lock?reason=fraud&note=by+phone`)).toMatchObject({ status: 200 });
    expect((await send("GET", `/users/${id}`)).json).toMatchObject({
      user: { lock: { reason: "fraud", note: "by phone" } },
    });
  });

  test("of a GET, the whole request is the query", async () => {
    expect(await send("GET", "/tokens?subject=admin&query.limit=1")).toMatchObject({
      status: 200,
      json: { result: [{ subject: "admin", grants: [{ role: "ROLE_INSTANCE_OWNER" }] }] },
    });
  });
});

describe("the body", () => {
  test("is a field of the request where the route says so", async () => {
    const id = await newUser();
    const patched = await send(
      "PATCH",
      `/users/${id}`,
      '{"contact":{"email":{"address":"a@example.com","is_verified":true}}}',
    );
    expect(patched).toMatchObject({ status: 200 });
    expect((await send("GET", `/users/${id}`)).json).toMatchObject({
      user: { contact: { email: { address: "a@example.com", isVerified: true } } },
    });
  });

  test.each([
    ["nothing", undefined],
    ["an empty object", "{}"],
    ["an empty text", ""],
  ])("of a lock may be %s", async (_what, body) => {
    expect(await send("POST", `/users/${await newUser()}/_lock`, body)).toMatchObject({ status: 200 });
  });

  test("may repeat what the path says", async () => {
    const id = await newUser();
    expect(await send("POST", `/users/${id}/_lock`, JSON.stringify({ id }))).toMatchObject({ status: 200 });
  });
});

describe("refused with INVALID_REQUEST, and nothing is done", () => {
  const CASES: [what: string, verb: string, path: string, body: string | undefined][] = [
    ["a query field that there is not", "POST", "/users/ID/_lock?raeson=x", undefined],
    ["a nested query field that there is not", "POST", "/users/ID/_lock?organization.name=x", undefined],
    ["a query field beyond a scalar", "POST", "/users/ID/_lock?id.x=1", undefined],
    ["a message as a query field", "POST", "/users/ID/_lock?organization=a", undefined],
    ["a query field that is set twice", "POST", "/users/ID/_lock?reason=a&reason=b", undefined],
    ["a field in the query and in the body", "POST", "/users/ID/_lock?reason=a", '{"reason":"b"}'],
    ["another id in the body than in the path", "POST", "/users/ID/_lock", '{"id":"other"}'],
    ["both of a oneof", "POST", "/users/ID/_lock?organization.orgId=a&organization.orgDomain=b", undefined],
    ["a body field that there is not", "POST", "/users/ID/_lock", '{"raeson":"x"}'],
    ["a body field of another type", "POST", "/users/ID/_lock", '{"reason":1}'],
    ["a body that is no JSON", "POST", "/users/ID/_lock", '{"reason":'],
    ["a body that is no object", "POST", "/users/ID/_lock", "[]"],
    ["a body where there is none", "DELETE", "/users/ID", "{}"],
    ["the body's field in the query", "PATCH", "/users/ID?user.schemaId=x", "{}"],
    ["a broken percent-encoding in the path", "POST", "/users/%E0%A4%A/_lock", undefined],
    ["a boolean that is none", "POST", "/users/_search?query.desc=yes", "[]"],
    ["a number that is none", "POST", "/users/_search?query.limit=many", "[]"],
    ["a negative number", "POST", "/users/_search?query.offset=-1", "[]"],
    ["an enum that there is not", "POST", "/users/_search?sortingColumn=AGE", "[]"],
  ];
  test.each(CASES)("%s", async (_what, verb, path, body) => {
    const id = await newUser();
    const answer = await send(verb, path.replace("ID", id), body);
    expect({ status: answer.status, code: answer.json.code, reason: reasonOf(answer) }).toEqual({
      status: 400,
      code: 3,
      reason: "INVALID_REQUEST",
    });
    expect((await send("GET", `/users/${id}`)).json).toMatchObject({ user: { state: "USER_STATE_ACTIVE" } });
  });

  test("the query field is named", async () => {
    expect(fieldsOf(await send("POST", "/users/x/_lock?raeson=x"))).toEqual(["raeson"]);
  });
});

describe("paths and verbs", () => {
  test.each([
    ["/nothing", "POST", 404, null],
    ["/users/x/_freeze", "POST", 404, null],
    ["/users/x/_lock", "GET", 405, "POST"],
    ["/users", "GET", 405, "POST"],
    ["/users/x", "PUT", 405, "GET, HEAD, PATCH, DELETE"],
  ])("%s with %s is %i", async (path, method, status, allow) => {
    const response = await fetch(`${server.url}/resources/v3alpha${path}`, { method });
    expect(response.status).toBe(status);
    expect(response.headers.get("allow")).toBe(allow);
    expect(await response.json()).toMatchObject({ code: expect.any(Number), message: expect.any(String) });
  });

  test.each([
    ["application/x-www-form-urlencoded", 415],
    ["text/plain", 415],
    ["application/json; charset=utf-8", 200],
    ["Application/JSON", 200],
  ])("content type %s is %i", async (type, status) => {
    expect((await send("POST", `/users/${await newUser()}/_lock`, "{}", type)).status).toBe(status);
  });

  test("an id is taken from the path with its escapes undone", async () => {
    expect(await send("POST", "/users", '{"userId":"a@b:c"}')).toMatchObject({ status: 201 });
    expect(await send("POST", "/users/a%40b%3Ac/_lock")).toMatchObject({
      status: 200,
      json: { details: { id: "a@b:c" } },
    });
  });
});

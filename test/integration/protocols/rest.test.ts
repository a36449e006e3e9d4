// Proves that REST requests bind their path, query and body, and that invalid ones are refused.
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

describe("fields outside the path and body bind from the query", () => {
  test.each([
    ["with JSON names", "?organization.orgId=a"],
    ["with Protobuf names", "?organization.org_id=a"],
    ["with percent-encoding", "?organization%2EorgId=%61"],
    ["with the instance", "?instance.id=main&organization.orgId=a"],
    ["with a domain of the instance in any case", "?instance.domain=ID.example.com&organization.orgId=a"],
  ])("%s", async (_what, query) => {
    const id = await newUser(query);
    expect((await send("GET", `/users/${id}`)).json).toMatchObject({
      user: { details: { owner: { type: "OWNER_TYPE_ORG", id: "a" } } },
    });
  });

  test("for 64-bit and 32-bit numbers, booleans, and enums by name and number", async () => {
    const search = (query: string) => send("POST", `/users/_search${query}`, "[]");
    const byName = await search("?query.offset=1&query.limit=2&query.desc=true&sortingColumn=FIELD_NAME_ID");
    expect(byName).toMatchObject({ status: 200, json: { details: { appliedLimit: "2" } } });
    expect((await search("?query.offset=1&query.limit=2&query.desc=true&sorting_column=1")).json.result).toEqual(
      byName.json.result,
    );
  });

  test("for a lock's reason and note without a body", async () => {
    const id = await newUser();
    expect(await send("POST", `/users/${id}/_lock?reason=fraud&note=by+phone`)).toMatchObject({ status: 200 });
    expect((await send("GET", `/users/${id}`)).json).toMatchObject({
      user: { lock: { reason: "fraud", note: "by phone" } },
    });
  });

  test("for a whole GET request", async () => {
    expect(await send("GET", "/tokens?subject=admin&query.limit=1")).toMatchObject({
      status: 200,
      json: { result: [{ subject: "admin", grants: [{ role: "ROLE_INSTANCE_OWNER" }] }] },
    });
  });
});

describe("the body of a REST request", () => {
  test("is the field that the route names", async () => {
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
  ])("of a lock can be %s", async (_what, body) => {
    expect(await send("POST", `/users/${await newUser()}/_lock`, body)).toMatchObject({ status: 200 });
  });

  test("can repeat the id of the path", async () => {
    const id = await newUser();
    expect(await send("POST", `/users/${id}/_lock`, JSON.stringify({ id }))).toMatchObject({ status: 200 });
  });
});

describe("a REST request is refused with INVALID_REQUEST and changes nothing for", () => {
  const CASES: [what: string, verb: string, path: string, body: string | undefined][] = [
    ["an unknown query field", "POST", "/users/ID/_lock?raeson=x", undefined],
    ["an unknown nested query field", "POST", "/users/ID/_lock?organization.name=x", undefined],
    ["a nested field of a scalar in the query", "POST", "/users/ID/_lock?id.x=1", undefined],
    ["a message as a query field", "POST", "/users/ID/_lock?organization=a", undefined],
    ["a duplicate query field", "POST", "/users/ID/_lock?reason=a&reason=b", undefined],
    ["a field in both the query and the body", "POST", "/users/ID/_lock?reason=a", '{"reason":"b"}'],
    ["different ids in the body and the path", "POST", "/users/ID/_lock", '{"id":"other"}'],
    ["two fields of a oneof", "POST", "/users/ID/_lock?organization.orgId=a&organization.orgDomain=b", undefined],
    ["an unknown body field", "POST", "/users/ID/_lock", '{"raeson":"x"}'],
    ["a body field of the wrong type", "POST", "/users/ID/_lock", '{"reason":1}'],
    ["a body that is not JSON", "POST", "/users/ID/_lock", '{"reason":'],
    ["a body that is not an object", "POST", "/users/ID/_lock", "[]"],
    ["a body for a route without one", "DELETE", "/users/ID", "{}"],
    ["the body's field in the query", "PATCH", "/users/ID?user.schemaId=x", "{}"],
    ["invalid percent-encoding in the path", "POST", "/users/%E0%A4%A/_lock", undefined],
    ["an invalid boolean", "POST", "/users/_search?query.desc=yes", "[]"],
    ["an invalid number", "POST", "/users/_search?query.limit=many", "[]"],
    ["a negative number", "POST", "/users/_search?query.offset=-1", "[]"],
    ["an unknown enum value", "POST", "/users/_search?sortingColumn=AGE", "[]"],
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

  test("an unknown query field, and names it", async () => {
    expect(fieldsOf(await send("POST", "/users/x/_lock?raeson=x"))).toEqual(["raeson"]);
  });
});

describe("a REST request with", () => {
  test.each([
    ["/nothing", "POST", 404, null],
    ["/users/x/_freeze", "POST", 404, null],
    ["/users/x/_lock", "GET", 405, "POST"],
    ["/users", "GET", 405, "POST"],
    ["/users/x", "PUT", 405, "GET, HEAD, PATCH, DELETE"],
  ])("the path %s and the verb %s gets %i", async (path, method, status, allow) => {
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
  ])("the content type %s gets %i", async (type, status) => {
    expect((await send("POST", `/users/${await newUser()}/_lock`, "{}", type)).status).toBe(status);
  });

  test("an encoded id in the path finds the decoded id", async () => {
    expect(await send("POST", "/users", '{"userId":"a@b:c"}')).toMatchObject({ status: 201 });
    expect(await send("POST", "/users/a%40b%3Ac/_lock")).toMatchObject({
      status: 200,
      json: { details: { id: "a@b:c" } },
    });
  });
});

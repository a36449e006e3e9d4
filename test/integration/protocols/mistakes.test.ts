// Proves that each mistaken call gets a sentence that names the field, what is wrong and what to do.
import { MISTAKEN_REST_CALLS, type MistakenCall } from "../../support/clients/mistaken-calls.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

let server: ServerProcess;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server?.stop());

/** The sentence of the answer to a call. */
async function sentenceOf(verb: string, path: string, body: string | undefined): Promise<string> {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" };
  const response = await fetch(server.url + path, { method: verb, headers, ...(body !== undefined && { body }) });
  expect(response.status).toBeGreaterThanOrEqual(400);
  return ((await response.json()) as { message: string }).message;
}

const CONNECT: MistakenCall[] = [
  [
    "a duration with a unit of hours",
    "UserService/LockUser",
    '{"id":"alice","duration":"1h"}',
    'duration: "1h" is not a duration; use seconds, such as "3600s"',
  ],
  ["the id by another name", "UserService/LockUser", '{"userId":"alice"}', "userId: no such field; did you mean id?"],
  ["no id", "UserService/LockUser", "{}", "id: must be 1 to 200 characters of A-Z a-z 0-9 . _ ~ @ : - and not . or .."],
  ["a list as an id", "UserService/LockUser", '{"id":["a"]}', "id: a list is not a string; use text in double quotes"],
  ["a list as the message", "UserService/LockUser", "[]", "The body must be a JSON object."],
  [
    "an id in place of a list",
    "UserService/BatchLockUsers",
    '{"ids":"a"}',
    "ids: a string is not a list; put the values between [ and ]",
  ],
  [
    "a field in another case",
    "UserService/BatchLockUsers",
    '{"ids":["a"],"dryrun":true}',
    "dryrun: no such field; did you mean dryRun?",
  ],
  ["neither ids nor filters", "UserService/BatchLockUsers", "{}", "set ids or filters, and not both"],
  [
    "a limit for ids",
    "UserService/BatchLockUsers",
    '{"ids":["a"],"limit":5}',
    "cursor and limit are allowed with filters only",
  ],
  [
    "a negative offset",
    "UserService/SearchUsers",
    '{"query":{"offset":-1}}',
    "query.offset: -1 is not a whole number from 0 to 18446744073709551615",
  ],
  [
    "true as a number",
    "UserService/SearchUsers",
    '{"query":{"limit":true}}',
    "query.limit: true is not a whole number from 0 to 4294967295",
  ],
  [
    "an enum number that does not exist",
    "UserService/SearchUsers",
    '{"filters":[{"stateFilter":{"state":99}}]}',
    "filters[0].stateFilter.state: must be one of USER_STATE_ACTIVE, USER_STATE_INACTIVE, USER_STATE_DELETED, USER_STATE_LOCKED",
  ],
  ["no password", "UserService/SetPassword", '{"id":"a"}', "newPassword: is required"],
  [
    "an empty password",
    "UserService/SetPassword",
    '{"id":"a","newPassword":{"password":""}}',
    "newPassword.password: must be 1 to 1,000 characters, and none of them U+0000",
  ],
  ["no user", "SessionService/CreateSession", '{"password":"x"}', "set one of userId, loginName"],
  [
    "a method in the plural",
    "UserService/LockUsers",
    "{}",
    "There is nothing at /userlock.v3alpha.UserService/LockUsers. Did you mean /userlock.v3alpha.UserService/LockUser?",
  ],
  [
    "a service in the plural",
    "UserServices/LockUser",
    "{}",
    "There is nothing at /userlock.v3alpha.UserServices/LockUser. Did you mean /userlock.v3alpha.UserService/LockUser?",
  ],
];

test.each(MISTAKEN_REST_CALLS)("REST: %s", async (_what, call, body, sentence) => {
  const [verb, path] = call.split(" ") as [string, string];
  expect(await sentenceOf(verb, `/resources/v3alpha${path}`, body)).toBe(sentence);
});

test.each(CONNECT)("Connect JSON: %s", async (_what, method, body, sentence) => {
  expect(await sentenceOf("POST", `/userlock.v3alpha.${method}`, body)).toBe(sentence);
});

test("no sentence shows a regular expression, a type of protobuf or a secret", () => {
  const sentences = [...MISTAKEN_REST_CALLS, ...CONNECT].map(([, , , sentence]) => sentence);
  expect(sentences.length).toBeGreaterThan(40);
  for (const sentence of sentences) {
    expect(sentence).not.toMatch(/\^|\{\d|\[A-Z|12345678|google\.protobuf|JSON from|oneof|decode/);
    expect(sentence).not.toMatch(/userlock\.v3alpha\.(?!UserService\/|UserServices\/)/);
  }
});

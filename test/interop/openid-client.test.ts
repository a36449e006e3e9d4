// Proves that openid-client, a published OAuth client, can introspect tokens.
import {
  allowInsecureRequests,
  type ClientAuth,
  ClientSecretBasic,
  ClientSecretPost,
  Configuration,
  tokenIntrospection,
} from "openid-client";
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../support/access.ts";
import { type Door, openDoors } from "../support/clients/doors.ts";
import { addUser, asOwner, ok, openSession } from "../support/logins.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../support/servers/server-process.ts";

/** Introspects like a resource server that knows OAuth and nothing about userlock. */
let server: ServerProcess;
let doors: Door[] = [];
let sessionToken: string;
let client: { id: string; secret: string };
const SUBJECT = "api-gateway@example.com";

beforeAll(async () => {
  server = await startServer();
  doors = openDoors(server.url);
  client = await tokenMaker(server.url, ADMIN_TOKEN).create(SUBJECT, ["GATEWAY"]);
  await addUser(doors[0] as Door, { id: "ada" });
  ({ sessionToken } = await openSession(doors[0] as Door, "ada"));
});

afterAll(async () => {
  for (const each of doors) each.close();
  await server?.stop();
});

/** Whether the token of a session is good. The secret is a userlock token, and the id is its subject. */
async function isActive(url: string, id: string, secret: string, token: string): Promise<boolean> {
  const endpoints = { issuer: url, introspection_endpoint: `${url}/oauth/v2/introspect` };
  const configuration = new Configuration(endpoints, id, undefined, ClientSecretBasic(secret));
  if (url.startsWith("http:")) allowInsecureRequests(configuration);
  const { active } = await tokenIntrospection(configuration, token);
  return active;
}

test("openid-client finds a session active until its user is locked", async () => {
  const [door] = doors as [Door];
  const token = (await openSession(door, await addUser(door, { id: "cyd" }))).sessionToken;
  expect(await isActive(server.url, SUBJECT, client.secret, token)).toBe(true);
  ok(await door.call(UserService.method.lockUser, { id: "cyd" }, asOwner));
  expect(await isActive(server.url, SUBJECT, client.secret, token)).toBe(false);
});

function configurationOf(id: string, auth: ClientAuth): Configuration {
  const metadata = { issuer: server.url, introspection_endpoint: `${server.url}/oauth/v2/introspect` };
  const configuration = new Configuration(metadata, id, undefined, auth);
  allowInsecureRequests(configuration);
  return configuration;
}

describe.each<[string, (secret: string) => ClientAuth]>([
  ["client_secret_basic", ClientSecretBasic],
  ["client_secret_post", ClientSecretPost],
])("openid-client by %s", (_name, authBy) => {
  test.each<[string, () => string]>([
    ["the token's subject", () => SUBJECT],
    ["the token's id", () => client.id],
  ])("introspects with %s as client id", async (_what, id) => {
    const configuration = configurationOf(id(), authBy(client.secret));
    const hint = { token_type_hint: "access_token" };
    expect(await tokenIntrospection(configuration, sessionToken, hint)).toMatchObject({ active: true, sub: "ada" });
    expect(await tokenIntrospection(configuration, "no-such-token")).toEqual({ active: false });
  });

  test("gets a readable challenge for a wrong secret", async () => {
    const asked = tokenIntrospection(configurationOf(SUBJECT, authBy("wrong")), sessionToken);
    await expect(asked).rejects.toMatchObject({
      code: "OAUTH_WWW_AUTHENTICATE_CHALLENGE",
      status: 401,
      cause: [{ scheme: "basic", parameters: { realm: "userlock" } }],
    });
  });

  test("gets a readable error for an invalid request", async () => {
    const asked = tokenIntrospection(configurationOf(SUBJECT, authBy(client.secret)), sessionToken.repeat(2_000));
    await expect(asked).rejects.toMatchObject({ code: "OAUTH_RESPONSE_BODY_ERROR", error: "invalid_request" });
  });
});

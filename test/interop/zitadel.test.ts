// Proves that the published client @zitadel/client can call a server.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { NewAuthorizationBearerInterceptor } from "@zitadel/client";
import { createServerTransport } from "@zitadel/client/node";
import { createUserSchemaServiceClient, createUserServiceClient } from "@zitadel/client/v3alpha";
import { createClientTransport } from "@zitadel/client/web";
import { OwnerType } from "@zitadel/proto/zitadel/object/v3alpha/object_pb.js";
import { TextFilterMethod } from "@zitadel/proto/zitadel/resources/object/v3alpha/object_pb.js";
import { FieldName, type SearchFilterSchema } from "@zitadel/proto/zitadel/resources/user/v3alpha/query_pb.js";
import { State } from "@zitadel/proto/zitadel/resources/user/v3alpha/user_pb.js";
import { ZITADELUsers as Published } from "@zitadel/proto/zitadel/resources/user/v3alpha/user_service_pb.js";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { ZITADELUsers } from "../../gen/zitadel/resources/user/v3alpha/user_service_pb.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../support/servers/server-process.ts";

type Client = ReturnType<typeof createUserServiceClient>;
type Filter = MessageInitShape<typeof SearchFilterSchema>;

let server: ServerProcess;

beforeAll(async () => {
  server = await startServer();
});

afterAll(async () => {
  await server?.stop();
});

const bearer = (token: string | undefined) => (token === undefined ? [] : [NewAuthorizationBearerInterceptor(token)]);

/** The transports of the published client package, and Connect's own transport. */
const TRANSPORTS: { name: string; make: (baseUrl: string, token?: string) => Transport }[] = [
  ...[true, false].map((useBinaryFormat) => ({
    name: `Connect, ${useBinaryFormat ? "binary" : "JSON"}`,
    make: (baseUrl: string, token?: string) =>
      createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat, interceptors: bearer(token) }),
  })),
  ...[true, false].map((useBinaryFormat) => ({
    name: `gRPC, ${useBinaryFormat ? "binary" : "JSON"}`,
    make: (baseUrl: string, token = "") => createServerTransport(token, { baseUrl, useBinaryFormat }),
  })),
  ...[true, false].map((useBinaryFormat) => ({
    name: `gRPC-Web, ${useBinaryFormat ? "binary" : "JSON"}`,
    make: (baseUrl: string, token = "") => createClientTransport(token, { baseUrl, useBinaryFormat }),
  })),
];

/** Code and reason of a refused call. An answer fails the test. */
async function refusalOf(call: Promise<unknown>): Promise<[code: string | undefined, reason: string | undefined]> {
  const error = await call.then(
    () => undefined,
    (thrown) => ConnectError.from(thrown),
  );
  return [error && Code[error.code], error?.findDetails(ErrorInfoSchema)[0]?.reason];
}

const { EQUALS, EQUALS_IGNORE_CASE, STARTS_WITH, STARTS_WITH_IGNORE_CASE, CONTAINS } = TextFilterMethod;
const userId = (id: string, method = CONTAINS): Filter => ({
  Filter: { case: "userIdFilter", value: { id, method } },
});

/** Filters of each kind, and which of ann, bob and cem match. */
const FILTERS: { Filter: NonNullable<Filter["Filter"]>; passes: string[] }[] = [
  { Filter: { case: "orFilter", value: { queries: [userId("-ann"), userId("-cem")] } }, passes: ["ann", "cem"] },
  { Filter: { case: "andFilter", value: { queries: [userId("-"), userId("-bob")] } }, passes: ["bob"] },
  { Filter: { case: "notFilter", value: { query: userId("-ann") } }, passes: ["bob", "cem"] },
  { Filter: { case: "userIdFilter", value: { id: "-cem", method: EQUALS } }, passes: [] },
  { Filter: { case: "userIdFilter", value: { id: "-cem", method: CONTAINS } }, passes: ["cem"] },
  { Filter: { case: "organizationIdFilter", value: { id: "acm", method: STARTS_WITH } }, passes: ["ann", "bob"] },
  { Filter: { case: "usernameFilter", value: { username: "LEE", method: CONTAINS } }, passes: [] },
  { Filter: { case: "usernameFilter", value: { username: "lee", method: CONTAINS } }, passes: ["ann", "bob"] },
  {
    Filter: { case: "usernameFilter", value: { username: "lee", method: CONTAINS, isOrganizationSpecific: true } },
    passes: ["bob"],
  },
  {
    Filter: { case: "emailFilter", value: { address: "ANN@", method: STARTS_WITH_IGNORE_CASE } },
    passes: ["ann"],
  },
  { Filter: { case: "phoneFilter", value: { number: "+49 40 22", method: EQUALS } }, passes: ["bob"] },
  { Filter: { case: "stateFilter", value: { state: State.USER_STATE_LOCKED } }, passes: ["bob"] },
  { Filter: { case: "stateFilter", value: { state: State.USER_STATE_INACTIVE } }, passes: ["cem"] },
  { Filter: { case: "schemaIdFilter", value: { id: "staff" } }, passes: ["ann"] },
  { Filter: { case: "schemaTypeFilter", value: { type: "GUEST", method: EQUALS_IGNORE_CASE } }, passes: ["cem"] },
];

describe.each(TRANSPORTS)("@zitadel/client over $name", ({ name, make }) => {
  let client: Client;
  let stranger: Client;
  /** The prefix of the ids of this transport's users. */
  const prefix = name.replaceAll(/\W+/g, "");
  const acme = { property: { case: "orgId" as const, value: "acme" } };

  beforeAll(() => {
    client = createUserServiceClient(make(server.url, ADMIN_TOKEN));
    stranger = createUserServiceClient(make(server.url, "not-a-token-of-anybody"));
  });

  let users = 0;
  async function newUser(): Promise<string> {
    const { details } = await client.createUser({ user: { userId: `${prefix}.${++users}` } });
    return details?.id as string;
  }
  const stateOf = async (id: string) => (await client.getUser({ id })).user?.state;

  test("creates a user and gets all fields back", async () => {
    const id = `${prefix}.full`;
    const { details } = await client.createUser({
      organization: acme,
      user: {
        userId: id,
        schemaId: "staff",
        data: { name: "Ann", roles: ["a", 1, null], nested: { is: true } },
        contact: {
          email: { address: "ann@example.com", verification: { case: "isVerified", value: true } },
          phone: { number: "+49 30 11", verification: { case: "isVerified", value: false } },
        },
        authenticators: { usernames: [{ username: id, isOrganizationSpecific: true }] },
      },
    });
    expect(details).toMatchObject({ id, owner: { type: OwnerType.ORG, id: "acme" } });
    const { user } = await client.getUser({ id });
    expect(user).toMatchObject({
      details,
      schema: { id: "staff" },
      data: { name: "Ann", roles: ["a", 1, null], nested: { is: true } },
      contact: {
        email: { address: "ann@example.com", isVerified: true },
        phone: { number: "+49 30 11", isVerified: false },
      },
      authenticators: { usernames: [{ username: id, isOrganizationSpecific: true }] },
      state: State.USER_STATE_ACTIVE,
    });
  });

  test("locks and unlocks a user", async () => {
    const id = await newUser();
    const { details } = await client.lockUser({ id });
    expect(details).toMatchObject({ id, owner: { type: OwnerType.INSTANCE, id: "default" } });
    expect(await stateOf(id)).toBe(State.USER_STATE_LOCKED);
    expect(await refusalOf(client.lockUser({ id }))).toEqual(["FailedPrecondition", "USER_ALREADY_LOCKED"]);
    await client.unlockUser({ id });
    expect(await stateOf(id)).toBe(State.USER_STATE_ACTIVE);
    expect(await refusalOf(client.unlockUser({ id }))).toEqual(["FailedPrecondition", "USER_NOT_LOCKED"]);
  });

  test("deactivates and activates a user", async () => {
    const id = await newUser();
    await client.deactivateUser({ id });
    expect(await stateOf(id)).toBe(State.USER_STATE_INACTIVE);
    expect(await refusalOf(client.deactivateUser({ id }))).toEqual(["FailedPrecondition", "USER_ALREADY_INACTIVE"]);
    await client.activateUser({ id });
    expect(await stateOf(id)).toBe(State.USER_STATE_ACTIVE);
    expect(await refusalOf(client.activateUser({ id }))).toEqual(["FailedPrecondition", "USER_NOT_INACTIVE"]);
  });

  test("patches the set fields and keeps the rest", async () => {
    const id = await newUser();
    await client.patchUser({ id, user: { schemaId: "guest", data: { a: 1 } } });
    await client.patchUser({ id, user: { contact: { email: { address: "x@example.com" } } } });
    const { user } = await client.getUser({ id });
    expect(user).toMatchObject({
      schema: { id: "guest" },
      data: { a: 1 },
      contact: { email: { address: "x@example.com", isVerified: false } },
    });
  });

  test("adds and removes a user name", async () => {
    const [id, other] = [await newUser(), await newUser()];
    const username = { username: `${prefix}.name` };
    const { usernameId } = await client.addUsername({ id, username });
    expect(await refusalOf(client.addUsername({ id: other, username }))).toEqual(["AlreadyExists", "USERNAME_TAKEN"]);
    const namesOf = async () => (await client.getUser({ id })).user?.authenticators?.usernames;
    expect(await namesOf()).toMatchObject([{ usernameId, ...username }]);
    await client.removeUsername({ id, usernameId });
    expect(await namesOf()).toEqual([]);
  });

  test("deletes a user", async () => {
    const id = await newUser();
    await client.deleteUser({ id });
    expect(await refusalOf(client.getUser({ id }))).toEqual(["NotFound", "USER_NOT_FOUND"]);
    expect(await refusalOf(client.createUser({ user: { userId: id } }))).toEqual([
      "AlreadyExists",
      "USER_ALREADY_EXISTS",
    ]);
  });

  test("sets a password, and GetUser shows the time", async () => {
    const id = await newUser();
    const passwordOf = async () => (await client.getUser({ id })).user?.authenticators?.password;
    expect(await passwordOf()).toBeUndefined();
    const newPassword = { type: { case: "password" as const, value: "correct horse battery staple" } };
    const { details } = await client.setPassword({ id, newPassword });
    expect(await passwordOf()).toMatchObject({ lastChanged: details?.changed });
    const hash = { type: { case: "hash" as const, value: "$6$saltsalt$hash" } };
    expect(await refusalOf(client.setPassword({ id, newPassword: hash }))).toEqual([
      "InvalidArgument",
      "INVALID_REQUEST",
    ]);
  });

  test("gets UNAUTHENTICATED without a valid token", async () => {
    expect(await refusalOf(stranger.lockUser({ id: "u" }))).toEqual(["Unauthenticated", "TOKEN_INVALID"]);
  });

  describe("in SearchUsers", () => {
    const mine = userId(`${prefix}-`, STARTS_WITH);

    beforeAll(async () => {
      const [ann, bob, cem] = ["ann", "bob", "cem"].map((who) => `${prefix}-${who}`) as [string, string, string];
      const add = (organization: typeof acme | undefined, user: Parameters<Client["createUser"]>[0]["user"]) =>
        client.createUser({ ...(organization && { organization }), ...(user && { user }) });
      await add(acme, {
        userId: ann,
        schemaId: "staff",
        contact: { email: { address: "ann@example.com" }, phone: { number: "+49 30 11" } },
        authenticators: { usernames: [{ username: `ann.lee.${prefix}` }] },
      });
      await add(acme, {
        userId: bob,
        contact: { email: { address: "bob@example.com" }, phone: { number: "+49 40 22" } },
        authenticators: { usernames: [{ username: `bob.lee.${prefix}`, isOrganizationSpecific: true }] },
      });
      await client.lockUser({ id: bob });
      await add(undefined, { userId: cem, contact: { email: { address: "cem@example.com" } } });
      await client.deactivateUser({ id: cem });
      // The published messages cannot set a schema type.
      const own = createClient(
        UserService,
        createConnectTransport({
          baseUrl: server.url,
          httpVersion: "1.1",
          interceptors: bearer(ADMIN_TOKEN),
        }),
      );
      await own.patchUser({ id: cem, user: { schemaType: "guest" } });
    });

    test.each(FILTERS)("finds $passes by $Filter.case", async ({ Filter, passes }) => {
      const { result, details } = await client.searchUsers({
        sortingColumn: FieldName.ID,
        filters: [mine, { Filter }],
      });
      expect(result.map((user) => user.details?.id)).toEqual(passes.map((who) => `${prefix}-${who}`));
      expect(details).toMatchObject({ totalResult: BigInt(passes.length), appliedLimit: 100n });
    });

    test("sorts, and returns the second of three", async () => {
      const { result, details } = await client.searchUsers({
        query: { offset: 1n, limit: 1, desc: true },
        sortingColumn: FieldName.EMAIL,
        filters: [mine],
      });
      expect(result).toMatchObject([{ contact: { email: { address: "bob@example.com" } } }]);
      expect(details).toMatchObject({ totalResult: 3n, appliedLimit: 1n });
    });
  });

  test("gets UNIMPLEMENTED for published methods that are not served", async () => {
    const served = ZITADELUsers.methods.map((method) => method.name);
    const unserved = Published.methods.filter((method) => !served.includes(method.name));
    const methods = client as unknown as Record<string, (request: object) => Promise<unknown>>;
    const refusals = await Promise.all(
      unserved.map(async ({ localName }) => [localName, await refusalOf(methods[localName]!({}))]),
    );
    expect(refusals.length).toBeGreaterThan(0);
    expect(refusals).toEqual(unserved.map(({ localName }) => [localName, ["Unimplemented", "NOT_SERVED"]]));
  });

  test("gets UNIMPLEMENTED for a published service that is not served", async () => {
    const schemas = createUserSchemaServiceClient(make(server.url, ADMIN_TOKEN));
    expect(await refusalOf(schemas.getUserSchema({ id: "s" }))).toEqual(["Unimplemented", "NOT_SERVED"]);
  });
});

// Proves that users are created, changed and deleted.
import { type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { GetUserSchema, State, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../../support/access.ts";
import { type Answer, type Door, openDoors } from "../../support/clients/doors.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const { createUser, getUser, patchUser, deleteUser, addUsername, removeUsername, lockUser } = UserService.method;

let server: ServerProcess;
let doors: Door[] = [];
let managerOfA: string;

/** One door for each kind of encoding. The table of LockUser's test covers all doors. */
const NAMES = ["REST", "Connect JSON, UserService", "gRPC, ZITADELUsers"];

beforeAll(async () => {
  server = await startServer();
  doors = openDoors(server.url);
  managerOfA = (await tokenMaker(server.url, ADMIN_TOKEN).create("manager-a", ["ORG_OWNER", "a"])).secret;
});

afterAll(async () => {
  for (const door of doors) door.close();
  await server?.stop();
});

const asOwner = { token: ADMIN_TOKEN };
const ORG_A = { organization: { property: { case: "orgId" as const, value: "a" } } };
const ok = (answer: Answer) => expect(answer).toMatchObject({ code: "OK" });
const refused = (answer: Answer, code: string, reason: string) =>
  expect({ code: answer.code, reason: answer.reason }).toEqual({ code, reason });

let users = 0;
const newId = () => `user-${++users}`;

describe.each(NAMES)("over %s", (name) => {
  let door: Door;
  beforeAll(() => {
    door = doors.find((candidate) => candidate.name === name) as Door;
  });

  async function userOf(id: string) {
    const { response } = await door.call(getUser, { id }, asOwner);
    return toJson(GetUserSchema, response!.user!) as Record<string, unknown>;
  }

  test("GetUser shows everything that CreateUser was given", async () => {
    const userId = newId();
    const answer = await door.call(
      createUser,
      {
        ...ORG_A,
        user: {
          userId,
          schemaId: "employee",
          schemaType: "person",
          data: { givenName: "Ada", tags: ["a", 1, null, true], nested: { deep: [{}] } },
          contact: {
            email: { address: "ada@example.com", verification: { case: "isVerified", value: true } },
            phone: { number: "+41 44 668 18 00" },
          },
          authenticators: {
            usernames: [{ username: `ada-${userId}` }, { username: "Ada", isOrganizationSpecific: true }].slice(
              0,
              name === "REST" ? 2 : 1,
            ),
          },
        },
      },
      asOwner,
    );
    ok(answer);
    expect(answer.response?.details?.id).toBe(userId);
    const user = await userOf(userId);
    expect(user).toMatchObject({
      details: { id: userId, owner: { type: "OWNER_TYPE_ORG", id: "a" } },
      schema: { id: "employee", type: "person" },
      data: { givenName: "Ada", tags: ["a", 1, null, true], nested: { deep: [{}] } },
      contact: { email: { address: "ada@example.com", isVerified: true }, phone: { number: "+41 44 668 18 00" } },
      state: "USER_STATE_ACTIVE",
    });
    expect((user.authenticators as { usernames: object[] }).usernames[0]).toMatchObject({
      username: `ada-${userId}`,
      usernameId: expect.stringMatching(/^\d{24}$/),
    });
  });

  test("CreateUser generates ascending decimal ids", async () => {
    const first = (await door.call(createUser, { user: {} }, asOwner)).response?.details?.id as string;
    const second = (await door.call(createUser, { user: {} }, asOwner)).response?.details?.id as string;
    expect(first).toMatch(/^\d{24}$/);
    expect(second > first).toBe(true);
  });

  test("CreateUser refuses the id of an existing or deleted user", async () => {
    const userId = newId();
    ok(await door.call(createUser, { user: { userId } }, asOwner));
    refused(await door.call(createUser, { user: { userId } }, asOwner), "ALREADY_EXISTS", "USER_ALREADY_EXISTS");
    ok(await door.call(deleteUser, { id: userId }, asOwner));
    refused(await door.call(createUser, { user: { userId } }, asOwner), "ALREADY_EXISTS", "USER_ALREADY_EXISTS");
    refused(await door.call(getUser, { id: userId }, asOwner), "NOT_FOUND", "USER_NOT_FOUND");
    refused(await door.call(deleteUser, { id: userId }, asOwner), "NOT_FOUND", "USER_NOT_FOUND");
  });

  test("CreateUser refuses an organization's manager outside that organization", async () => {
    const asManager = { token: managerOfA };
    ok(await door.call(createUser, { ...ORG_A, user: { userId: newId() } }, asManager));
    const other = { organization: { property: { case: "orgId" as const, value: "b" } } };
    for (const place of [{}, other]) {
      const answer = await door.call(createUser, { ...place, user: { userId: newId() } }, asManager);
      refused(answer, "PERMISSION_DENIED", "PERMISSION_MISSING");
    }
  });

  test("DeleteUser lets an organization's owner delete its users and no others", async () => {
    const own = newId();
    const foreign = newId();
    ok(await door.call(createUser, { ...ORG_A, user: { userId: own } }, asOwner));
    ok(await door.call(createUser, { user: { userId: foreign } }, asOwner));
    ok(await door.call(deleteUser, { id: own, ...ORG_A }, { token: managerOfA }));
    refused(await door.call(deleteUser, { id: foreign }, { token: managerOfA }), "NOT_FOUND", "USER_NOT_FOUND");
    refused(await door.call(getUser, { id: foreign }, { token: managerOfA }), "NOT_FOUND", "USER_NOT_FOUND");
  });

  test("PatchUser changes the set fields, keeps the rest, and without a change keeps `changed`", async () => {
    const id = newId();
    const email = (address: string) => ({ contact: { email: { address } } });
    ok(
      await door.call(
        createUser,
        { user: { userId: id, schemaId: "s", data: { a: 1 }, ...email("a@example.com") } },
        asOwner,
      ),
    );
    const patch = { id, user: { data: { b: 2 }, ...email("b@example.com") } };
    const first = await door.call(patchUser, patch, asOwner);
    ok(first);
    expect(await userOf(id)).toMatchObject({
      schema: { id: "s" },
      data: { b: 2 },
      contact: { email: { address: "b@example.com" } },
    });
    const second = await door.call(patchUser, patch, asOwner);
    expect(second.response?.details?.changed).toEqual(first.response?.details?.changed);
  });

  test("user names are added, taken in any case, removed, and free again", async () => {
    const [one, two] = [newId(), newId()];
    const username = `Name of ${one}`;
    for (const userId of [one, two]) ok(await door.call(createUser, { user: { userId } }, asOwner));
    const added = await door.call(addUsername, { id: one, username: { username } }, asOwner);
    ok(added);
    const usernameId = added.response?.usernameId as string;
    expect((await userOf(one)).authenticators).toEqual({ usernames: [{ usernameId, username }] });

    const taken = { username: username.toUpperCase() };
    refused(await door.call(addUsername, { id: two, username: taken }, asOwner), "ALREADY_EXISTS", "USERNAME_TAKEN");
    refused(await door.call(addUsername, { id: one, username: taken }, asOwner), "ALREADY_EXISTS", "USERNAME_TAKEN");
    const withName = { user: { userId: newId(), authenticators: { usernames: [taken] } } };
    refused(await door.call(createUser, withName, asOwner), "ALREADY_EXISTS", "USERNAME_TAKEN");

    const removal = { id: one, usernameId };
    refused(await door.call(removeUsername, { ...removal, id: two }, asOwner), "NOT_FOUND", "USERNAME_NOT_FOUND");
    ok(await door.call(removeUsername, removal, asOwner));
    refused(await door.call(removeUsername, removal, asOwner), "NOT_FOUND", "USERNAME_NOT_FOUND");
    ok(await door.call(addUsername, { id: two, username: { username } }, asOwner));
    ok(await door.call(deleteUser, { id: two }, asOwner));
    ok(await door.call(addUsername, { id: one, username: { username } }, asOwner));
  });

  test("an organization's user name is unique in that organization and needs an organization", async () => {
    const specific = { username: `n-${newId()}`, isOrganizationSpecific: true };
    const inOrg = (value: string) => ({ organization: { property: { case: "orgId" as const, value } } });
    const create = (org: string) =>
      door.call(createUser, { ...inOrg(org), user: { authenticators: { usernames: [specific] } } }, asOwner);
    const org = newId();
    ok(await create(org));
    refused(await create(org), "ALREADY_EXISTS", "USERNAME_TAKEN");
    ok(await create(newId()));
    const ofInstance = { user: { authenticators: { usernames: [specific] } } };
    refused(await door.call(createUser, ofInstance, asOwner), "INVALID_ARGUMENT", "INVALID_REQUEST");
  });

  const INVALID: [what: string, user: MessageInitShape<typeof createUser.input>["user"], field: string][] = [
    ["an invalid email address", { contact: { email: { address: "nobody" } } }, "user.contact.email.address"],
    ["an invalid phone number", { contact: { phone: { number: "call me" } } }, "user.contact.phone.number"],
    ["an id with a slash", { userId: "a/b" }, "user.user_id"],
    ["an id that URLs remove as a dot segment", { userId: ".." }, "user.user_id"],
    ["userlock's own subject as an id", { userId: "userlock" }, "user.user_id"],
    ["the subject of an offline operator as an id", { userId: "admin@host" }, "user.user_id"],
    [
      "an empty user name",
      { authenticators: { usernames: [{ username: "" }] } },
      "user.authenticators.usernames[0].username",
    ],
    [
      "a user name that ends in a space",
      { authenticators: { usernames: [{ username: "a " }] } },
      "user.authenticators.usernames[0].username",
    ],
    [
      "a user name with a line break",
      { authenticators: { usernames: [{ username: "a\nb" }] } },
      "user.authenticators.usernames[0].username",
    ],
    [
      "an empty password",
      { authenticators: { password: { type: { case: "password", value: "" } } } },
      "user.authenticators.password.password",
    ],
    [
      "21 user names",
      { authenticators: { usernames: Array.from({ length: 21 }, (_, n) => ({ username: `x${n}` })) } },
      "user.authenticators.usernames",
    ],
  ];
  test.each(INVALID)("CreateUser refuses %s and names the field", async (_what, user, field) => {
    const answer = await door.call(createUser, { user }, asOwner);
    refused(answer, "INVALID_ARGUMENT", "INVALID_REQUEST");
    expect(answer.badRequest?.fieldViolations.map((violation) => violation.field)).toContain(field);
  });

  test("a password is stored, and GetUser shows only its time", async () => {
    const userId = newId();
    const password = { type: { case: "password" as const, value: "secret" } };
    const { response } = await door.call(createUser, { user: { userId, authenticators: { password } } }, asOwner);
    const user = await userOf(userId);
    const lastChanged = (user.details as { created: string }).created;
    expect(response?.details?.id).toBe(userId);
    expect(user.authenticators).toEqual({ password: { lastChanged } });
  });

  const NOT_SERVED: [what: string, user: MessageInitShape<typeof createUser.input>["user"]][] = [
    [
      "an email code",
      { contact: { email: { address: "a@example.com", verification: { case: "sendCode", value: {} } } } },
    ],
    [
      "a returned code",
      { contact: { phone: { number: "+41446681800", verification: { case: "returnCode", value: {} } } } },
    ],
  ];
  test.each(NOT_SERVED)("CreateUser refuses %s as not served, and creates no user", async (_what, user) => {
    const userId = newId();
    refused(await door.call(createUser, { user: { userId, ...user } }, asOwner), "UNIMPLEMENTED", "NOT_SERVED");
    refused(await door.call(getUser, { id: userId }, asOwner), "NOT_FOUND", "USER_NOT_FOUND");
  });

  test("PatchUser keeps the lock of a locked user", async () => {
    const id = newId();
    ok(await door.call(createUser, { user: { userId: id } }, asOwner));
    ok(await door.call(lockUser, { id }, asOwner));
    ok(await door.call(patchUser, { id, user: { schemaId: "s" } }, asOwner));
    expect((await door.call(getUser, { id }, asOwner)).response?.user?.state).toBe(State.USER_STATE_LOCKED);
  });
});

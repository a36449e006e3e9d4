// Proves that a repeated call with its idempotency key changes nothing and gets the first answer.
import { type DescMethodUnary, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { AccessService, Role } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { SettingsService } from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { systemClock } from "../../../src/clock.ts";
import { tokenMaker } from "../../support/access.ts";
import { type Answer, type Door, openDoors } from "../../support/clients/doors.ts";
import { usersIn } from "../../support/servers/app.ts";
import { ADMIN_TOKEN, QUICK, type ServerProcess, startServer } from "../../support/servers/server-process.ts";
import { readAll } from "../../support/stores/appends.ts";
import { type EmptyStore, openStoreAt, SHARED_KEY, STORES } from "../../support/stores/stores.ts";

const {
  createUser,
  getUser,
  searchUsers,
  countUsers,
  patchUser,
  lockUser,
  unlockUser,
  activateUser,
  deactivateUser,
  deleteUser,
} = UserService.method;
const { addUsername, removeUsername, setPassword, batchLockUsers } = UserService.method;
const { createSession, getSession, listSessions, introspectToken, deleteSession, deleteSessions } =
  SessionService.method;
const { getLockoutPolicy, setLockoutPolicy, resetLockoutPolicy } = SettingsService.method;
const { whoAmI, createToken, listTokens, revokeToken } = AccessService.method;
const { listEvents } = EventService.method;

/** The methods that change nothing. */
const READING: DescMethodUnary[] = [
  getUser,
  searchUsers,
  countUsers,
  getSession,
  listSessions,
  introspectToken,
  getLockoutPolicy,
  whoAmI,
  listTokens,
  listEvents,
];

let keys = 0;
const newKey = () => `key ${++keys} of "a test" +/=`;
let users = 0;

describe.each(STORES)("on %s", (_store, makeStore) => {
  let store: EmptyStore;
  let servers: ServerProcess[] = [];
  /** The doors of the two servers. */
  let doors: Door[][] = [];

  beforeAll(async () => {
    store = await makeStore();
    const settings = { ...SHARED_KEY, USERLOCK_STORE: store.url };
    servers = await Promise.all([startServer(settings, QUICK), startServer(settings, QUICK)]);
    doors = servers.map(({ url }) => openDoors(url));
  });
  afterAll(async () => {
    for (const door of doors.flat()) door.close();
    for (const server of servers) await server.stop();
    await store.remove();
  });

  const doorOf = (name: string, server = 0) => doors[server]!.find((door) => door.name === name) as Door;
  const asOwner = (key?: string, token = ADMIN_TOKEN) => ({
    token,
    ...(key !== undefined && { headers: { "idempotency-key": key } }),
  });

  async function log(): Promise<string[]> {
    const reader = await openStoreAt(store.url);
    try {
      return (await readAll(reader)).map(({ type, id }) => `${type} ${id}`);
    } finally {
      await reader.close();
    }
  }

  async function newUser(more: object = {}): Promise<string> {
    const userId = `user-${++users}`;
    const { code } = await doorOf("REST").call(createUser, { user: { userId, ...more } }, asOwner());
    expect(code).toBe("OK");
    return userId;
  }

  const bytesOf = (method: DescMethodUnary, { code, response }: Answer) => {
    expect(code).toBe("OK");
    return Buffer.from(toBinary(method.output, response as never)).toString("hex");
  };
  const inShort = ({ code, reason }: Answer) => (reason ? `${code} ${reason}` : code);

  const NAMES = openDoors("http://127.0.0.1:1").map(({ name }) => name);

  test.each(NAMES)("a repeated call over %s gets the first answer and changes nothing", async (name) => {
    const id = await newUser();
    const key = newKey();
    const first = await doorOf(name).call(lockUser, { id, reason: "fraud" }, asOwner(key));
    const before = await log();
    const again = await doorOf(name, 1).call(lockUser, { id, reason: "fraud" }, asOwner(key));
    expect(bytesOf(lockUser, again)).toBe(bytesOf(lockUser, first));
    expect(await log()).toEqual(before);

    const without = await doorOf(name).call(lockUser, { id, reason: "fraud" }, asOwner());
    expect(inShort(without)).toBe("FAILED_PRECONDITION USER_ALREADY_LOCKED");
  });

  test("a repeated call gets the first answer over another protocol, at another server, and after an unlock", async () => {
    const id = await newUser();
    const key = newKey();
    const first = await doorOf("REST").call(lockUser, { id }, asOwner(key));
    await doorOf("REST").call(unlockUser, { id }, asOwner());
    const again = await doorOf("gRPC, ZITADELUsers", 1).call(lockUser, { id }, asOwner(key));
    expect(bytesOf(lockUser, again)).toBe(bytesOf(lockUser, first));
    const { response } = await doorOf("REST").call(getUser, { id }, asOwner());
    expect(response?.user?.lock).toBeUndefined();
  });

  describe("a repeated call of", () => {
    const password = (text: string) => ({ type: { case: "password" as const, value: text } });
    const ORG = { organization: { property: { case: "orgId" as const, value: "a" } } };

    async function sessionOf(userId: string): Promise<string> {
      const request = { user: { case: "userId" as const, value: userId }, password: "right" };
      return (await doorOf("REST").call(createSession, request, asOwner())).response?.sessionId ?? "";
    }

    const CASES: [name: string, make: () => Promise<{ method: DescMethodUnary; request: object }>][] = [
      ["CreateUser without an id", async () => ({ method: createUser, request: { user: {} } })],
      [
        "CreateUser",
        async () => ({ method: createUser, request: { user: { userId: `user-${++users}`, data: { a: [1, "b"] } } } }),
      ],
      [
        "PatchUser",
        async () => ({ method: patchUser, request: { id: await newUser(), user: { schemaId: "employee" } } }),
      ],
      [
        "PatchUser that changes nothing",
        async () => ({ method: patchUser, request: { id: await newUser({ schemaId: "a" }), user: { schemaId: "a" } } }),
      ],
      ["LockUser", async () => ({ method: lockUser, request: { id: await newUser() } })],
      [
        "UnlockUser",
        async () => {
          const id = await newUser();
          await doorOf("REST").call(lockUser, { id }, asOwner());
          return { method: unlockUser, request: { id } };
        },
      ],
      ["DeactivateUser", async () => ({ method: deactivateUser, request: { id: await newUser() } })],
      [
        "ActivateUser",
        async () => {
          const id = await newUser();
          await doorOf("REST").call(deactivateUser, { id }, asOwner());
          return { method: activateUser, request: { id } };
        },
      ],
      ["DeleteUser", async () => ({ method: deleteUser, request: { id: await newUser() } })],
      [
        "AddUsername",
        async () => ({
          method: addUsername,
          request: { id: await newUser(), username: { username: `name-${users}` } },
        }),
      ],
      [
        "RemoveUsername",
        async () => {
          const id = await newUser();
          const username = { username: `name-${users}` };
          const { response } = await doorOf("REST").call(addUsername, { id, username }, asOwner());
          return { method: removeUsername, request: { id, usernameId: response?.usernameId ?? "" } };
        },
      ],
      [
        "SetPassword",
        async () => ({
          method: setPassword,
          request: { id: await newUser(), newPassword: password("new").type && { type: password("new").type } },
        }),
      ],
      [
        "CreateSession",
        async () => {
          const id = await newUser({ authenticators: { password: password("right") } });
          return { method: createSession, request: { user: { case: "userId", value: id }, password: "right" } };
        },
      ],
      [
        "DeleteSession",
        async () => {
          const id = await newUser({ authenticators: { password: password("right") } });
          return { method: deleteSession, request: { sessionId: await sessionOf(id) } };
        },
      ],
      ["DeleteSessions", async () => ({ method: deleteSessions, request: { id: await newUser() } })],
      ["SetLockoutPolicy", async () => ({ method: setLockoutPolicy, request: { ...ORG, policy: { maxAttempts: 7 } } })],
      [
        "ResetLockoutPolicy",
        async () => {
          await doorOf("REST").call(setLockoutPolicy, { ...ORG, policy: {} }, asOwner());
          return { method: resetLockoutPolicy, request: ORG };
        },
      ],
      [
        "CreateToken",
        async () => ({
          method: createToken,
          request: { subject: "somebody", grants: [{ role: Role.INSTANCE_VIEWER }] },
        }),
      ],
      [
        "RevokeToken",
        async () => {
          const { id } = await tokenMaker(servers[0]!.url, ADMIN_TOKEN).create("somebody", ["INSTANCE_VIEWER"]);
          return { method: revokeToken, request: { tokenId: id } };
        },
      ],
    ];

    test.each(CASES)(
      "%s gets one answer again, at the other server, and in eight concurrent calls",
      async (_, make) => {
        const { method, request } = await make();
        const key = newKey();
        const call = (name: string, server: number) =>
          doorOf(name, server).call(method, request as MessageInitShape<typeof method.input>, asOwner(key));
        const names = ["REST", "gRPC, UserService", "Connect JSON, UserService", "gRPC-Web, UserService"];
        const answers = await Promise.all([0, 1].flatMap((server) => names.map((name) => call(name, server))));
        const before = await log();
        answers.push(await call("REST", 0), await call("gRPC, UserService", 1));

        expect(new Set(answers.map((answer) => bytesOf(method, answer))).size).toBe(1);
        expect(await log()).toEqual(before);
      },
    );

    test("every changing method is in the table of this test", () => {
      const services = [UserService, SessionService, SettingsService, AccessService];
      // Batches have their own tests.
      const others = [...READING.map(({ name }) => name), "BatchLockUsers", "BatchUnlockUsers"];
      const changing = services.flatMap(({ methods }) => methods.map(({ name }) => name));
      const tested = new Set(CASES.map(([name]) => name.split(" ")[0]));
      expect(changing.filter((name) => !others.includes(name) && !tested.has(name))).toEqual([]);
    });
  });

  describe("BatchLockUsers", () => {
    const resultsOf = ({ response }: Answer) =>
      (response as MessageShape<typeof batchLockUsers.output>).results.map(({ id, outcome }) =>
        outcome.case === "details" ? `${id} locked` : `${id} ${outcome.value?.code}`,
      );

    test("gets the same answers again at the other server, including refusals", async () => {
      const [one, other] = [await newUser(), await newUser()];
      await doorOf("REST").call(lockUser, { id: other }, asOwner());
      const request = { ids: [one, "nobody", other], reason: "fraud" };
      const key = newKey();
      const first = await doorOf("gRPC, UserService").call(batchLockUsers, request, asOwner(key));
      expect(resultsOf(first)).toEqual([`${one} locked`, "nobody 5", `${other} 9`]);
      const before = await log();
      const again = await doorOf("REST", 1).call(batchLockUsers, request, asOwner(key));
      expect(bytesOf(batchLockUsers, again)).toBe(bytesOf(batchLockUsers, first));
      expect(await log()).toEqual(before);
    });

    /** The number of locks of each user. */
    async function locksOf(ids: string[]): Promise<number[]> {
      const counts = new Map<string, number>();
      for (const line of await log()) counts.set(line, (counts.get(line) ?? 0) + 1);
      return ids.map((id) => counts.get(`user.locked ${id}`) ?? 0);
    }

    test("resumes after its deadline, reports users that it locked before as locked, and locks each once", async () => {
      const reader = await openStoreAt(store.url);
      const more = usersIn(reader, systemClock());
      try {
        // Longer deadlines until one ends the call halfway.
        for (let milliseconds = 20; ; milliseconds *= 1.3) {
          const ids = Array.from({ length: 2_000 }, () => `user-${++users}`);
          await Promise.all(ids.map((id) => more.add(id)));
          const key = newKey();
          const request = { ids, reason: "fraud" };
          const hurried = { ...asOwner(key).headers, "connect-timeout-ms": milliseconds.toFixed(0) };
          const cut = await doorOf("REST").call(batchLockUsers, request, { token: ADMIN_TOKEN, headers: hurried });
          expect(cut.code).toBe("DEADLINE_EXCEEDED");
          if (new Set(await locksOf(ids)).size < 2) continue;

          const others = await Promise.all([newUser(), newUser()]);
          const reused = await doorOf("REST", 1).call(batchLockUsers, { ...request, ids: others }, asOwner(key));
          expect(inShort(reused)).toBe("INVALID_ARGUMENT IDEMPOTENCY_KEY_REUSED");
          expect(await locksOf(others)).toEqual([0, 0]);
          const again = await doorOf("REST", 1).call(batchLockUsers, request, asOwner(key));
          expect(resultsOf(again)).toEqual(ids.map((id) => `${id} locked`));
          expect(new Set(await locksOf(ids))).toEqual(new Set([1]));
          break;
        }
      } finally {
        await reader.close();
      }
    });

    test("by filters gets the same page again, although its users no longer match", async () => {
      const schemaId = `schema-${users}`;
      const ids = await Promise.all(Array.from({ length: 5 }, () => newUser({ schemaId })));
      const filter = (value: object) => ({ filter: value }) as never;
      const request = {
        filters: [
          filter({ case: "schemaIdFilter", value: { id: schemaId } }),
          filter({ case: "lockFilter", value: { locked: false } }),
        ],
        limit: 3,
      };
      const key = newKey();
      const first = await doorOf("REST").call(batchLockUsers, request, asOwner(key));
      expect(resultsOf(first)).toEqual(
        ids
          .toSorted()
          .slice(0, 3)
          .map((id) => `${id} locked`),
      );
      const again = await doorOf("gRPC, UserService", 1).call(batchLockUsers, request, asOwner(key));
      expect(bytesOf(batchLockUsers, again)).toBe(bytesOf(batchLockUsers, first));
    });
  });

  test("one of 64 concurrent calls at both servers makes the change, and all get its answer", async () => {
    const id = await newUser();
    const key = newKey();
    const all = doors.flat();
    const answers = await Promise.all(
      Array.from({ length: 64 }, (_, n) => all[n % all.length]!.call(lockUser, { id }, asOwner(key))),
    );
    expect(new Set(answers.map((answer) => bytesOf(lockUser, answer))).size).toBe(1);
    expect((await log()).filter((line) => line === `user.locked ${id}`)).toHaveLength(1);
  });

  test("the same key with another request is refused, and the first answer is kept", async () => {
    const [id, other] = [await newUser(), await newUser()];
    const key = newKey();
    const first = await doorOf("REST").call(lockUser, { id, reason: "fraud" }, asOwner(key));
    const again = [
      await doorOf("REST").call(lockUser, { id: other, reason: "fraud" }, asOwner(key)),
      await doorOf("gRPC, UserService", 1).call(lockUser, { id, reason: "another" }, asOwner(key)),
      await doorOf("Connect proto, UserService").call(unlockUser, { id }, asOwner(key)),
    ];
    expect(again.map(inShort)).toEqual(again.map(() => "INVALID_ARGUMENT IDEMPOTENCY_KEY_REUSED"));
    expect(bytesOf(lockUser, await doorOf("REST").call(lockUser, { id, reason: "fraud" }, asOwner(key)))).toBe(
      bytesOf(lockUser, first),
    );
    expect((await doorOf("REST").call(unlockUser, { id: other }, asOwner())).reason).toBe("USER_NOT_LOCKED");
  });

  test("the same key of another caller is a different key", async () => {
    const id = await newUser();
    const key = newKey();
    const other = await tokenMaker(servers[0]!.url, ADMIN_TOKEN).create("another", ["INSTANCE_OWNER"]);
    expect((await doorOf("REST").call(lockUser, { id }, asOwner(key))).code).toBe("OK");
    const answer = await doorOf("REST").call(lockUser, { id }, asOwner(key, other.secret));
    expect(inShort(answer)).toBe("FAILED_PRECONDITION USER_ALREADY_LOCKED");
  });

  test("a refusal is not kept, and the repeated call is decided again", async () => {
    const id = await newUser();
    const key = newKey();
    const unlock = () => doorOf("gRPC, UserService").call(unlockUser, { id }, asOwner(key));
    expect((await unlock()).reason).toBe("USER_NOT_LOCKED");
    await doorOf("REST").call(lockUser, { id }, asOwner());
    expect((await unlock()).code).toBe("OK");
  });

  test("a caller with a revoked token does not get the first answer", async () => {
    const id = await newUser();
    const key = newKey();
    const access = tokenMaker(servers[0]!.url, ADMIN_TOKEN);
    const token = await access.create("another", ["INSTANCE_OWNER"]);
    expect((await doorOf("REST").call(lockUser, { id }, asOwner(key, token.secret))).code).toBe("OK");
    await access.revoke(token.id);
    expect((await doorOf("REST").call(lockUser, { id }, asOwner(key, token.secret))).reason).toBe("TOKEN_INVALID");
  });

  /** Ways to end a session. */
  const ENDINGS: [what: string, end: (userId: string, session: { sessionId: string }) => Promise<Answer>][] = [
    ["LockUser", (id) => doorOf("REST").call(lockUser, { id }, asOwner())],
    ["DeactivateUser", (id) => doorOf("REST").call(deactivateUser, { id }, asOwner())],
    ["DeleteUser", (id) => doorOf("REST").call(deleteUser, { id }, asOwner())],
    [
      "SetPassword",
      (id) =>
        doorOf("REST").call(
          setPassword,
          { id, newPassword: { type: { case: "password", value: "another" } } },
          asOwner(),
        ),
    ],
    ["DeleteSessions", (id) => doorOf("REST").call(deleteSessions, { id }, asOwner())],
    ["DeleteSession", (_id, { sessionId }) => doorOf("REST").call(deleteSession, { sessionId }, asOwner())],
  ];

  test.each(NAMES)("a repeated login over %s succeeds only while its session is open", async (name) => {
    const password = { type: { case: "password" as const, value: "right" } };
    await Promise.all(
      ENDINGS.map(async ([what, end]) => {
        const id = await newUser({ authenticators: { password } });
        const logIn = (server: number, key: string | undefined) =>
          doorOf(name, server).call(
            createSession,
            { user: { case: "userId", value: id }, password: "right" },
            asOwner(key),
          );
        const key = newKey();
        const first = await logIn(0, key);
        expect(bytesOf(createSession, await logIn(1, key))).toBe(bytesOf(createSession, first));
        expect((await end(id, first.response!)).code).toBe("OK");
        const again = await logIn(1, key);
        expect([what, inShort(again)]).toEqual([what, "UNAUTHENTICATED LOGIN_FAILED"]);
        // The answer does not differ from that to a wrong password.
        const wrong = await doorOf(name).call(
          createSession,
          { user: { case: "userId", value: "nobody" }, password: "wrong" },
          asOwner(),
        );
        expect(again).toEqual(wrong);
      }),
    );
  });

  describe("a key is ignored by the reading method", () => {
    const password = { password: { type: { case: "password" as const, value: "right" } } };

    /** Two different requests. */
    async function requestsOf(method: DescMethodUnary): Promise<[object, object]> {
      const ids = [await newUser({ authenticators: password }), await newUser({ authenticators: password })] as const;
      const ofSession = async (id: string) => {
        const request = { user: { case: "userId" as const, value: id }, password: "right" };
        const { response } = await doorOf("REST").call(createSession, request, asOwner());
        const { sessionId, sessionToken } = response as MessageShape<typeof createSession.output>;
        return { sessionId, sessionToken, token: sessionToken };
      };
      switch (method) {
        case getUser:
        case listSessions:
          return [{ id: ids[0] }, { id: ids[1] }];
        case getSession:
        case introspectToken: {
          const [{ token, ...one }, { token: otherToken, ...other }] = [
            await ofSession(ids[0]),
            await ofSession(ids[1]),
          ];
          return method === getSession ? [one, other] : [{ token }, { token: otherToken }];
        }
        case getLockoutPolicy:
          return [{}, { organization: { property: { case: "orgId", value: "a" } } }];
        case countUsers: {
          const filters = ids.map((id) => ({ filter: { case: "userIdFilter", value: { id } } }));
          return [{ filters: filters.slice(0, 1) }, { filters: filters.slice(1) }];
        }
        case listEvents:
          return [{ limit: 1 }, { limit: 2 }];
        default:
          return [{ query: { limit: 1 } }, { query: { limit: 2 } }];
      }
    }

    test.each(READING.map((method) => [method.name, method] as const))("%s", async (_name, method) => {
      const key = newKey();
      for (const request of await requestsOf(method)) {
        const { code } = await doorOf("REST").call(method as DescMethodUnary, request as never, asOwner(key));
        expect(code).toBe("OK");
      }
      // No answer is stored under the key, or this request would be refused.
      const id = await newUser();
      expect((await doorOf("REST").call(lockUser, { id }, asOwner(key))).code).toBe("OK");
    });

    test("ListTokens, which shows the present tokens", async () => {
      const key = newKey();
      const count = async () => {
        const { response } = await doorOf("REST").call(listTokens, {}, asOwner(key));
        return Number(response?.details?.totalResult);
      };
      const before = await count();
      await tokenMaker(servers[0]!.url, ADMIN_TOKEN).create("somebody", ["INSTANCE_VIEWER"]);
      expect(await count()).toBe(before + 1);
    });
  });

  test.each([
    ["of 255 characters", "k".repeat(255), "OK"],
    ["with the quotes of a structured field", '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "OK"],
    ["of 256 characters", "k".repeat(256), "INVALID_ARGUMENT INVALID_REQUEST"],
    ["that is empty", "", "INVALID_ARGUMENT INVALID_REQUEST"],
    ["with a tab", "a\tb", "INVALID_ARGUMENT INVALID_REQUEST"],
    ["that is not ASCII", "schlüssel", "INVALID_ARGUMENT INVALID_REQUEST"],
  ])("a key %s gets the expected answer", async (_, key, expected) => {
    const id = await newUser();
    expect(inShort(await doorOf("REST").call(lockUser, { id }, asOwner(key)))).toBe(expected);
    if (expected !== "OK") {
      expect((await doorOf("REST").call(unlockUser, { id }, asOwner())).reason).toBe("USER_NOT_LOCKED");
    }
  });
});

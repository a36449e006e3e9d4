// Proves that the offline commands change a store without a server.
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import type { DescMethodUnary } from "@bufbuild/protobuf";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import { AccessService } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { readConfig } from "../../../src/config/config.ts";
import { createLogger } from "../../../src/log.ts";
import { start } from "../../../src/server.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import {
  addUser,
  asOwner,
  byId,
  failLogins,
  logIn,
  ok,
  outcomeOf,
  PASSWORD,
  readLog,
  refused,
  seconds,
} from "../../support/logins.ts";
import { runUserlock } from "../../support/servers/run-userlock.ts";
import { ADMIN_TOKEN, temporaryFolder } from "../../support/servers/server-process.ts";

const { createUser, searchUsers, lockUser, batchLockUsers, batchUnlockUsers } = UserService.method;

const { listTokens, revokeToken } = AccessService.method;

const folder = temporaryFolder();
afterAll(folder.remove);

const settingsOf = (name: string) => ({ USERLOCK_STORE: `sqlite:${folder.file(`${name}.db`)}` });
const ADMIN = `admin@${hostname()}`;

/** Runs work with a server on a store, and passes one of its doors. */
async function withServer<Result>(name: string, work: (door: Door) => Promise<Result>): Promise<Result> {
  const settings = { ...settingsOf(name), USERLOCK_LISTEN: "127.0.0.1:0", USERLOCK_ADMIN_TOKEN: ADMIN_TOKEN };
  const server = await start(readConfig(settings), createLogger("silent"));
  const doors = openDoors(server.url);
  try {
    return await work(doors.find((each) => each.name === "Connect proto, UserService") as Door);
  } finally {
    for (const door of doors) door.close();
    await server.close();
  }
}

/** Whether the server runs during the offline command. */
const WITH: [how: string, isUp: boolean][] = [
  ["the server up", true],
  ["the server down", false],
];

describe.each(WITH)("userlock admin, with %s", (how, isUp) => {
  const name = how.replaceAll(" ", "-");
  const file = folder.file(`${name}.db`);
  const admin = (...args: string[]) => runUserlock(["admin", ...args], settingsOf(name));

  /** Runs steps with the server before, during and after the command line. */
  async function around<Result>(
    prepare: (door: Door) => Promise<unknown>,
    command: () => Promise<Result>,
    check: (door: Door, outcome: Result) => Promise<unknown>,
  ): Promise<void> {
    if (isUp) {
      await withServer(name, async (door) => {
        await prepare(door);
        await check(door, await command());
      });
      return;
    }
    await withServer(name, prepare);
    const outcome = await command();
    await withServer(name, (door) => check(door, outcome));
  }

  test("unlock unlocks the user, and its event names the operator", async () => {
    await around(
      async (door) => {
        await addUser(door, { id: "victim" });
        ok(await door.call(lockUser, { id: "victim" }, asOwner));
      },
      async () => [await admin("unlock", "victim"), await admin("unlock", "victim"), await admin("unlock", "nobody")],
      async (door, [first, second, unknown]) => {
        expect(first).toEqual({ code: 0, stdout: "", stderr: "unlocked victim\n" });
        expect(second).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("USER_NOT_LOCKED") });
        expect(unknown).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("USER_NOT_FOUND") });
        ok(await logIn(door, byId("victim")));
      },
    );
    const [unlocked] = readLog(file, "victim").filter(({ type }) => type === "user.unlocked");
    expect(unlocked).toMatchObject({ data: { cause: "manual" }, actor: { subject: ADMIN } });
  });

  test("token prints only the secret of an INSTANCE_OWNER", async () => {
    await around(
      async () => {},
      async () => [await admin("token"), await admin("token", "--subject", "rescue", "--expires", "1s")],
      async (door, made) => {
        for (const { code, stdout, stderr } of made) {
          expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
          expect(stdout).toMatch(/^userlock_[\w-]{43}\n$/);
        }
        const [lasting, short] = made.map(({ stdout }) => stdout.trim());
        ok(await door.call(createUser, { user: { userId: "made-by-token" } }, { token: lasting }));
        await sleep(1_000);
        refused(await door.call(searchUsers, {}, { token: short }), "UNAUTHENTICATED", "TOKEN_EXPIRED");
      },
    );
  });

  test("list --locked lists the users who are locked at present", async () => {
    await around(
      async (door) => {
        for (const id of ["free", "l-manual", "l-timed", "l-failed", "l-ended"]) await addUser(door, { id });
        ok(await door.call(lockUser, { id: "l-manual", reason: "fraud" }, asOwner));
        ok(await door.call(lockUser, { id: "l-timed", end: { case: "duration", value: seconds(600) } }, asOwner));
        const ended = { case: "duration", value: { seconds: 0n, nanos: 1_000_000 } } as const;
        ok(await door.call(lockUser, { id: "l-ended", end: ended }, asOwner));
        await failLogins(door, "l-failed", 5);
      },
      () => admin("list", "--locked"),
      async (_door, { code, stdout, stderr }) => {
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
        const lines = stdout
          .trimEnd()
          .split("\n")
          .map((line) => line.split("\t"));
        const time = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z";
        expect(lines.map((line) => line.join(" "))).toEqual([
          "ID CAUSE REASON LOCKED BY SINCE UNTIL",
          expect.stringMatching(`^l-failed password_failures password-failures userlock ${time} ${time}$`),
          expect.stringMatching(`^l-manual manual fraud admin ${time} no end$`),
          expect.stringMatching(`^l-timed manual manual admin ${time} ${time}$`),
        ]);
      },
    );
  });

  test("create-user creates a system account that no call reaches", async () => {
    await around(
      async () => {},
      async () => [await admin("create-user", "break-glass"), await admin("create-user", "break-glass")],
      async (door, [first, second]) => {
        expect(first).toMatchObject({ code: 0, stdout: "", stderr: expect.stringMatching(/^created break-glass;/) });
        expect(second).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("USER_ALREADY_EXISTS") });
        for (const [method, more] of METHODS) {
          const answer = await door.call(method, { id: "break-glass", ...more } as never, asOwner);
          expect([method.name, outcomeOf(answer)]).toEqual([method.name, "NOT_FOUND USER_NOT_FOUND"]);
        }
        for (const method of [batchLockUsers, batchUnlockUsers]) {
          const { response } = await door.call(method, { ids: ["break-glass"] }, asOwner);
          expect(response?.results).toMatchObject([{ outcome: { case: "error", value: { code: Code.NOT_FOUND } } }]);
          const filter = { case: "userIdFilter", value: { id: "break-glass" } } as const;
          expect((await door.call(method, { filters: [{ filter }] }, asOwner)).response?.results).toEqual([]);
        }
        refused(await logIn(door, byId("break-glass")), "UNAUTHENTICATED", "LOGIN_FAILED");
        refused(
          await door.call(createUser, { user: { userId: "break-glass" } }, asOwner),
          "ALREADY_EXISTS",
          "USER_ALREADY_EXISTS",
        );
        const { response } = await door.call(searchUsers, { query: { limit: 1_000 } }, asOwner);
        expect(response!.result.map(({ details }) => details?.id)).not.toContain("break-glass");
      },
    );
    expect(readLog(file, "break-glass")).toMatchObject([
      { type: "user.created", actor: { subject: ADMIN }, data: { owner: { type: "system" } } },
    ]);
  });
});

test("the tokens of a break-glass account are invisible to INSTANCE_OWNER, and the offline command revokes them", async () => {
  const admin = (...args: string[]) => runUserlock(["admin", ...args], settingsOf("tokens"));
  await withServer("tokens", async (door) => {
    ok(await door.call(createUser, { user: { userId: "ann" } }, asOwner));
    await admin("create-user", "glass");
    const [ofGlass, ofAnn] = [await admin("token", "--subject", "glass"), await admin("token", "--subject", "ann")];
    const asGlass = { token: ofGlass.stdout.trim() };
    const subjects = async () =>
      (await door.call(listTokens, {}, asOwner)).response!.result.map(({ subject }) => subject);
    expect(await subjects()).toEqual(expect.arrayContaining(["admin", "ann"]));
    expect(await subjects()).not.toContain("glass");
    expect((await door.call(listTokens, { subject: "glass" }, asOwner)).response?.result).toEqual([]);

    const [{ id: tokenId }] = readIds(folder.file("tokens.db"), "glass") as [{ id: string }];
    refused(await door.call(revokeToken, { tokenId }, asOwner), "NOT_FOUND", "TOKEN_NOT_FOUND");
    ok(await door.call(searchUsers, {}, asGlass));
    expect(ofAnn.code).toBe(0);

    expect(await admin("revoke", "glass")).toEqual({ code: 0, stdout: "", stderr: "revoked 1 token of glass\n" });
    refused(await door.call(searchUsers, {}, asGlass), "UNAUTHENTICATED", "TOKEN_INVALID");
    ok(await door.call(searchUsers, {}, { token: ofAnn.stdout.trim() }));
    expect(await admin("revoke", "glass")).toEqual({ code: 0, stdout: "", stderr: "revoked 0 tokens of glass\n" });
  });
});

/** Ids of the tokens of a subject, from the store's file. */
function readIds(file: string, subject: string): unknown[] {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    return database
      .prepare("SELECT id FROM streams WHERE kind = 'token' AND json_extract(state, '$.subject') = ?")
      .all(subject);
  } finally {
    database.close();
  }
}

/** Every method with a user id, and its other required fields. */
const METHODS: [method: DescMethodUnary, more: object][] = [
  ...UserService.methods
    .filter(({ input }) => input.field.id)
    .map((method): [DescMethodUnary, object] => [method as DescMethodUnary, moreFor(method.name)]),
  [SessionService.method.listSessions, {}],
  [SessionService.method.deleteSessions, {}],
];

function moreFor(name: string): object {
  switch (name) {
    case "PatchUser":
      return { user: {} };
    case "AddUsername":
      return { username: { username: "n" } };
    case "RemoveUsername":
      return { usernameId: "n" };
    case "SetPassword":
      return { newPassword: { type: { case: "password", value: PASSWORD } } };
    default:
      return {};
  }
}

describe("userlock admin refuses", () => {
  test.each<[args: string[], says: string]>([
    [[], "unlock, token, revoke, list, create-user, reset-key"],
    [["freeze"], "unlock, token, revoke, list, create-user, reset-key"],
    [["unlock"], "ID is missing"],
    [["unlock", "a", "b"], "takes one ID"],
    [["unlock", "a b"], "cannot be an id"],
    [["unlock", "a", "--force"], "--force"],
    [["create-user"], "ID is missing"],
    [["create-user", "x".repeat(201)], "cannot be an id"],
    [["token", "--subject", "a b"], "cannot be an id"],
    [["token", "--expires", "soon"], "--expires"],
    [["revoke"], "SUBJECT is missing"],
    [["revoke", "a", "b"], "takes one SUBJECT"],
    [["list"], "--locked"],
    [["reset-key", "now"], "no arguments"],
  ])("the arguments %j without opening the store", async (args, says) => {
    const { code, stdout, stderr } = await runUserlock(["admin", ...args], settingsOf("refused"));
    expect({ code, stdout }).toEqual({ code: 64, stdout: "" });
    expect(stderr).toContain(says);
    expect(stderr).toMatch(/^userlock admin.* --help shows how it is used\.\n$/m);
    expect(existsSync(folder.file("refused.db"))).toBe(false);
  });

  test("an unusable store with exit code 69, and invalid settings with 78", async () => {
    const unusable = await runUserlock(["admin", "list", "--locked"], { USERLOCK_STORE: `sqlite:${folder.path}` });
    expect(unusable).toMatchObject({ code: 69, stdout: "" });
    expect(unusable.stderr).not.toContain("the server does not answer");
    const wrong = await runUserlock(["admin", "list", "--locked"], { USERLOCK_STORE: "nowhere" });
    expect(wrong).toMatchObject({ code: 78, stdout: "" });
    expect(wrong.stderr).toContain("USERLOCK_STORE");
  });
});

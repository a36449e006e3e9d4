// Proves that a lock and other ends close the sessions of a user at once, on every path.
import { setTimeout as sleep } from "node:timers/promises";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../../support/access.ts";
import { type Door, openDoors } from "../../support/clients/doors.ts";
import {
  addUser,
  asOwner,
  byId,
  failLogins,
  logIn,
  ok,
  openSession,
  outcomeOf,
  PASSWORD,
  seconds,
} from "../../support/logins.ts";
import { ADMIN_TOKEN, QUICK, type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const { lockUser, unlockUser, deactivateUser, activateUser, deleteUser, setPassword } = UserService.method;
const { getSession, listSessions, deleteSession, deleteSessions, introspectToken } = SessionService.method;

interface OpenSession {
  userId: string;
  sessionId: string;
  sessionToken: string;
}

/** All calls that accept a session token or show a session, with their outcomes for an open and an ended session. */
const PATHS: {
  name: string;
  ask: (door: Door, session: OpenSession) => Promise<string>;
  open: string;
  ended: string;
  /** The outcome if the user is deleted. */
  gone?: string;
}[] = [
  {
    name: "GetSession with the token",
    ask: async (door, { sessionId, sessionToken }) =>
      outcomeOf(await door.call(getSession, { sessionId, sessionToken }, { token: stranger(door) })),
    open: "OK",
    ended: "PERMISSION_DENIED PERMISSION_MISSING",
  },
  {
    name: "GetSession with session.read",
    ask: async (door, { sessionId }) => outcomeOf(await door.call(getSession, { sessionId }, asOwner)),
    open: "OK",
    ended: "NOT_FOUND SESSION_NOT_FOUND",
  },
  {
    name: "IntrospectToken, which is RFC 7662 over REST",
    ask: async (door, { sessionToken }) => {
      const { response } = await door.call(introspectToken, { token: sessionToken }, asOwner);
      const { active, sub, username, iat, exp, iss } = response!;
      return active ? "active" : JSON.stringify([active, sub, username, Number(iat), Number(exp), iss]);
    },
    open: "active",
    ended: '[false,"","",0,0,""]',
  },
  {
    name: "ListSessions",
    ask: async (door, { userId, sessionId }) => {
      const { code, reason, response } = await door.call(listSessions, { id: userId }, asOwner);
      if (reason !== undefined) return `${code} ${reason}`;
      return response!.result.some(({ details }) => details?.id === sessionId) ? "listed" : "not listed";
    },
    open: "listed",
    ended: "not listed",
    gone: "NOT_FOUND USER_NOT_FOUND",
  },
  {
    name: "GetSession with the session token as bearer",
    ask: async (door, { sessionId, sessionToken }) =>
      outcomeOf(await door.call(getSession, { sessionId, sessionToken }, { token: sessionToken })),
    open: "OK",
    ended: "UNAUTHENTICATED TOKEN_INVALID",
  },
  {
    name: "SetPassword for oneself with the session token as bearer",
    ask: async (door, { userId, sessionToken }) => {
      const verification = { case: "currentPassword" as const, value: PASSWORD };
      const newPassword = { type: { case: "password" as const, value: PASSWORD }, verification };
      return outcomeOf(await door.call(setPassword, { id: userId, newPassword }, { token: sessionToken }));
    },
    open: "OK",
    ended: "UNAUTHENTICATED TOKEN_INVALID",
  },
  {
    name: "DeleteSession with the token",
    ask: async (door, { sessionId, sessionToken }) =>
      outcomeOf(await door.call(deleteSession, { sessionId, sessionToken }, { token: stranger(door) })),
    open: "OK",
    ended: "PERMISSION_DENIED PERMISSION_MISSING",
  },
];

/** Every way to end a session. `undo` must not reopen it. */
const WAYS: {
  name: string;
  end: (door: Door, session: OpenSession) => Promise<unknown>;
  undo?: (door: Door, id: string) => Promise<unknown>;
  isGone?: true;
  lives?: "short";
}[] = [
  {
    name: "LockUser",
    end: async (door, { userId: id }) => ok(await door.call(lockUser, { id }, asOwner)),
    undo: async (door, id) => ok(await door.call(unlockUser, { id }, asOwner)),
  },
  {
    name: "LockUser with an end",
    end: async (door, { userId: id }) =>
      ok(await door.call(lockUser, { id, end: { case: "duration", value: seconds(1) } }, asOwner)),
    undo: () => sleep(1_050),
  },
  {
    name: "an automatic lock",
    end: (door, { userId }) => failLogins(door, userId, 5),
    undo: async (door, id) => ok(await door.call(unlockUser, { id }, asOwner)),
  },
  {
    name: "DeactivateUser",
    end: async (door, { userId: id }) => ok(await door.call(deactivateUser, { id }, asOwner)),
    undo: async (door, id) => ok(await door.call(activateUser, { id }, asOwner)),
  },
  {
    name: "DeleteUser",
    end: async (door, { userId: id }) => ok(await door.call(deleteUser, { id }, asOwner)),
    isGone: true,
  },
  {
    name: "SetPassword by an admin, even to the same password",
    end: async (door, { userId: id }) => {
      const newPassword = { type: { case: "password" as const, value: PASSWORD } };
      ok(await door.call(setPassword, { id, newPassword }, asOwner));
    },
  },
  {
    name: "SetPassword by the user, in another session",
    end: async (door, { userId: id }) => {
      const { sessionToken: token } = await openSession(door, id);
      const verification = { case: "currentPassword" as const, value: PASSWORD };
      const newPassword = { type: { case: "password" as const, value: PASSWORD }, verification };
      ok(await door.call(setPassword, { id, newPassword }, { token }));
    },
  },
  {
    name: "DeleteSessions by the user, in another session",
    end: async (door, { userId: id }) => {
      const { sessionToken: token } = await openSession(door, id);
      ok(await door.call(deleteSessions, { id }, { token }));
    },
  },
  {
    name: "DeleteSession",
    end: async (door, { sessionId }) => ok(await door.call(deleteSession, { sessionId }, asOwner)),
  },
  {
    name: "DeleteSessions",
    end: async (door, { userId: id }) => ok(await door.call(deleteSessions, { id }, asOwner)),
  },
  {
    name: "the end of the session's lifetime",
    end: async (door, { sessionId }) => {
      const { response } = await door.call(getSession, { sessionId }, asOwner);
      const { seconds: whole, nanos } = response!.session!.expires!;
      await sleep(Number(whole) * 1_000 + nanos / 1e6 - Date.now() + 2);
    },
    lives: "short",
  },
];

const LIFETIME_S = 4;

let servers: { long: ServerProcess; short: ServerProcess };
let doors: { long: Door[]; short: Door[] } = { long: [], short: [] };
/** Tokens of callers without a permission for sessions. */
const strangers = new Map<Door, string>();
const stranger = (door: Door) => strangers.get(door) as string;

beforeAll(async () => {
  const [long, short] = await Promise.all([
    startServer({}, QUICK),
    startServer({ USERLOCK_SESSION_LIFETIME: `${LIFETIME_S}s` }, QUICK),
  ]);
  servers = { long, short };
  doors = { long: openDoors(long.url), short: openDoors(short.url) };
  for (const lives of ["long", "short"] as const) {
    const { secret } = await tokenMaker(servers[lives].url, ADMIN_TOKEN).create("viewer", ["INSTANCE_VIEWER"]);
    for (const door of doors[lives]) strangers.set(door, secret);
  }
});

afterAll(async () => {
  for (const door of [...doors.long, ...doors.short]) door.close();
  for (const server of Object.values(servers ?? {})) await server.stop();
});

/** The distinct outcomes of each path over all doors. */
async function askAll(all: Door[], session: OpenSession): Promise<Record<string, readonly string[]>> {
  const told = PATHS.map(async ({ name, ask }) => {
    const answers = await Promise.all(all.map((door) => ask(door, session)));
    return [name, [...new Set(answers)]] as const;
  });
  return Object.fromEntries(await Promise.all(told));
}

describe.each(WAYS.map((way, index) => ({ ...way, index })))("$name", ({ name, end, undo, isGone, lives, index }) => {
  const refusals = Object.fromEntries(
    PATHS.map(({ name, ended, gone }) => [name, [isGone ? (gone ?? ended) : ended]] as const),
  );

  test("ends a session at once and permanently, on every path over every protocol", async () => {
    const all = doors[lives ?? "long"];
    const door = all[index % all.length] as Door;
    const userId = await addUser(door, { id: `user-${index}` });
    const other = await addUser(door, { id: `other-${index}` });
    const session = { userId, ...(await openSession(door, userId)) };
    const ofOther = { userId: other, ...(await openSession(door, other)) };
    for (const { ask, open } of PATHS.slice(0, -1)) expect(await ask(door, session)).toBe(open);
    // Opened now, because SetPassword among the paths ends all other sessions.
    const sibling = { userId, ...(await openSession(door, userId)) };

    await end(door, lives === "short" ? sibling : session);
    expect(await askAll(all, session)).toEqual(refusals);
    const endsOne = name === "DeleteSession";
    for (const { ask, open } of PATHS) if (endsOne) expect(await ask(door, sibling)).toBe(open);
    if (!endsOne) expect(await askAll(all, sibling)).toEqual(refusals);
    if (lives !== "short") for (const { ask, open } of PATHS) expect(await ask(door, ofOther)).toBe(open);

    await undo?.(door, userId);
    expect(await askAll(all, session)).toEqual(refusals);
    if (isGone) return;
    // The user can log in again, and the new session does not reopen the old one.
    const again = { userId, ...(await openSession(door, userId)) };
    expect(await askAll(all, session)).toEqual(refusals);
    for (const { ask, open } of PATHS.slice(0, -1)) expect(await ask(door, again)).toBe(open);
  });
});

test("a session that was opened concurrently with a lock is not open", async () => {
  const [door] = doors.long as [Door];
  const opened: OpenSession[] = [];
  for (let round = 0; round < 20; round++) {
    const id = await addUser(door, { id: `racer-${round}` });
    const locking = sleep(round).then(() => door.call(lockUser, { id }, asOwner));
    const [login, lock] = await Promise.all([logIn(door, byId(id)), locking]);
    ok(lock);
    if (login.response) opened.push({ userId: id, ...login.response });
  }
  expect(opened).not.toEqual([]);
  for (const session of opened) {
    for (const { ask, ended } of PATHS) expect(await ask(door, session)).toBe(ended);
  }
});

// Proves that a session is open until it expires, is ended, or its user's sessions are ended.
import {
  isOpen,
  type Session,
  type SessionCommand,
  type SessionEvent,
  session,
  sessionClaim,
} from "../../../../src/domain/session.ts";
import { lockOf } from "../../../../src/domain/user-state.ts";
import {
  command,
  HASH,
  KNOWN_DEVICES,
  lock,
  PHONE,
  right,
  START,
  type Step,
  setPassword,
  tell,
  timeAt,
  unlock,
  wrong,
  wrongs,
} from "../../../support/user-story.ts";

const OCCASION = { time: START, actor: { subject: "login page" } };

/** A session that was opened in epoch 0 and lasts for 1,000 s. */
const opened = (more: Partial<Session> = {}): Omit<Session, "ended"> => ({
  id: "s1",
  owner: { type: "instance", id: "default" },
  userId: "ann",
  epoch: 0,
  hash: "hash of its secret",
  expires: timeAt(1_000),
  ...more,
});

function follow(commands: SessionCommand[]): Session {
  let state: Session | undefined;
  for (const one of commands) {
    for (const event of session.decide(state, one, OCCASION)) state = session.evolve(state, event, OCCASION);
  }
  return state as Session;
}

const OPEN: SessionCommand = { type: "open", session: opened() };
const END: SessionCommand = { type: "end" };

test("a session has the address and the User-Agent that opened it until it ends, and the log never has them", () => {
  const seen = { address: "203.0.113.7", userAgent: "Mozilla/5.0" };
  const open: SessionCommand = { type: "open", session: opened(seen) };
  expect(follow([open])).toMatchObject(seen);
  const ended = follow([open, END]);
  expect(ended).toEqual({ ...opened(), ended: true });
  const [event] = session.decide(undefined, open, OCCASION);
  const logged = session.logged?.(event as SessionEvent, follow([open]), OCCASION);
  expect(logged).toEqual({ type: "session.opened", data: opened() });
});

const DEACTIVATE = (at: number) => command(at, { type: "deactivate" });
const ACTIVATE = (at: number) => command(at, { type: "activate" });
const OWN_PASSWORD = { type: "set_password", hash: "another", changeRequired: false } as const;
const ownPassword = (at: number, id: string, epoch: number) => command(at, { ...OWN_PASSWORD, session: { id, epoch } });

/** What happens to the user after the session was opened, and whether it is still open. */
const WHAT_ENDS_IT: [name: string, steps: Step[], open: boolean][] = [
  ["no event", [], true],
  ["a manual lock", [lock(1)], false],
  ["an automatic lock", wrongs(5, 1), false],
  ["a known device's automatic lock", [...KNOWN_DEVICES, ...wrongs(5, 1, PHONE)], false],
  ["a manual lock after an automatic one", [...wrongs(5, 1), unlock(6), lock(7)], false],
  ["a lock and its unlock", [lock(1), unlock(2)], false],
  ["a lock that has ended, with its end logged", [lock(1, { duration: 1 }), right(2)], false],
  ["a lock that has ended, with its end not logged yet", [lock(1, { duration: 1 })], false],
  ["a deactivation", [DEACTIVATE(1)], false],
  ["a deactivation and its activation", [DEACTIVATE(1), ACTIVATE(2)], false],
  ["a deletion", [command(1, { type: "delete" })], false],
  ["a password set by an admin", [setPassword(1)], false],
  ["a password set by the user without a session", [command(1, OWN_PASSWORD)], false],
  ["a password set by another session", [ownPassword(1, "s2", 0)], false],
  ["a password set by this session", [ownPassword(1, "s1", 0)], true],
  ["two passwords set by this session", [ownPassword(1, "s1", 0), ownPassword(2, "s1", 0)], true],
  [
    "a password set by this session, and one by another session",
    [ownPassword(1, "s1", 0), ownPassword(2, "s2", 1)],
    false,
  ],
  [
    "a password set by another session, and one by this session",
    [ownPassword(1, "s2", 0), ownPassword(2, "s1", 0)],
    false,
  ],
  ["a password set by this session, and a manual lock", [ownPassword(1, "s1", 0), lock(2)], false],
  ["a manual lock, and a password set by this session", [lock(1), unlock(2), ownPassword(3, "s1", 0)], false],
  [
    "a password set by this session, and the end of all sessions",
    [ownPassword(1, "s1", 0), command(2, { type: "end_sessions" })],
    false,
  ],
  ["a password set by this session, and an automatic lock", [ownPassword(1, "s1", 0), ...wrongs(5, 2)], false],
  ["a password set by this session, and a deactivation", [ownPassword(1, "s1", 0), DEACTIVATE(2), ACTIVATE(3)], false],
  ["a password set by this session, and one by an admin", [ownPassword(1, "s1", 0), setPassword(2)], false],
  ["a stronger hash", [command(1, { type: "rehash_password", hash: "better", replaced: HASH })], true],
  ["the end of all the user's sessions", [command(1, { type: "end_sessions" })], false],
  ["wrong passwords", wrongs(4, 1), true],
  ["another login", [right(1)], true],
  ["a patch", [command(1, { type: "patch", profile: { schemaType: "robot" } })], true],
];

describe("a session", () => {
  test.each(WHAT_ENDS_IT)("is open or closed by the rules after %s", (_, steps, open) => {
    expect(isOpen(follow([OPEN]), tell(steps).state, timeAt(500))).toBe(open);
  });

  test("opened after an unlock is open until the next lock", () => {
    const unlocked = tell([lock(1), unlock(2)]).state;
    const second = follow([{ type: "open", session: opened({ epoch: unlocked.epoch as number }) }]);
    expect(isOpen(second, unlocked, timeAt(3))).toBe(true);
    expect(isOpen(second, tell([lock(1), unlock(2), lock(3)]).state, timeAt(3))).toBe(false);
  });

  test("opened by a known device during a strangers' lock is open, and a manual lock ends it", () => {
    const given = [...KNOWN_DEVICES, ...wrongs(5, 1), right(7, PHONE)];
    const under = tell(given).state;
    expect(lockOf(under, timeAt(8))).toBeDefined();
    const second = follow([{ type: "open", session: opened({ epoch: under.epoch as number }) }]);
    expect(isOpen(second, under, timeAt(8))).toBe(true);
    expect(isOpen(second, tell([...given, lock(8)]).state, timeAt(8))).toBe(false);
    expect(isOpen(second, tell([...given, wrong(8)]).state, timeAt(8))).toBe(true);
  });

  test("is not open while its user is inactive", () => {
    const { state } = tell([DEACTIVATE(1)]);
    const late = follow([{ type: "open", session: opened({ epoch: state.epoch as number }) }]);
    expect(isOpen(late, state, timeAt(2))).toBe(false);
  });

  test("expires at its end", () => {
    const { state } = tell([]);
    expect(isOpen(follow([OPEN]), state, timeAt(1_000) - 1)).toBe(true);
    expect(isOpen(follow([OPEN]), state, timeAt(1_000))).toBe(false);
  });

  test("is open for its own user only", () => {
    const { state } = tell([]);
    expect(isOpen(follow([OPEN]), undefined, timeAt(1))).toBe(false);
    expect(isOpen(follow([OPEN]), { ...state, id: "bob" }, timeAt(1))).toBe(false);
  });

  test("is neither open nor found after it was ended, and can be ended once", () => {
    const { state } = tell([]);
    expect(session.claims(follow([OPEN]))).toEqual([sessionClaim("hash of its secret")]);
    const ended = follow([OPEN, END]);
    expect(isOpen(ended, state, timeAt(1))).toBe(false);
    expect(session.claims(ended)).toEqual([]);
    expect(session.isGone(ended)).toBe(true);
    const notFound = expect.objectContaining({ reason: "SESSION_NOT_FOUND" });
    expect(() => follow([OPEN, END, END])).toThrow(notFound);
    expect(() => follow([END])).toThrow(notFound);
  });
});

describe("the session epoch of a user", () => {
  const MOVES: [name: string, steps: Step[], epoch: number][] = [
    ["counts each lock", [lock(1), unlock(2), lock(3)], 2],
    ["counts a manual lock that replaces an automatic one", [...wrongs(5, 1), lock(7)], 2],
    ["does not count an unlock", [lock(1), unlock(2)], 1],
    ["does not count the end of a lock", [lock(1, { duration: 1 }), right(2)], 1],
    ["counts a deactivation and not the activation", [DEACTIVATE(1), ACTIVATE(2)], 1],
    ["counts a deletion", [command(1, { type: "delete" })], 1],
    ["counts a password set by an admin", [setPassword(1)], 1],
  ];

  test.each(MOVES)("%s", (_, steps, epoch) => {
    expect(tell(steps).state.epoch).toBe(epoch);
  });

  test.each([["logins", [wrong(1), right(2)]]])("does not count %s", (_, steps) => {
    expect(tell(steps).state.epoch).toBeUndefined();
  });
});

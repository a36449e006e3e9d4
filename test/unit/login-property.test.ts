import fc from "fast-check";
import { createSessions } from "../../src/app/sessions.ts";
import { DEFAULT_POLICY, type LockoutPolicy } from "../../src/domain/lockout.ts";
import { isOpen } from "../../src/domain/session.ts";
import { type UserCommand, user } from "../../src/domain/user.ts";
import { lockOf, type User, type UserEvent } from "../../src/domain/user-state.ts";
import type { EventStore, RecordedEvent } from "../../src/store/port.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { callerOf, handClock, usersIn } from "../support/app.ts";
import { START } from "../support/user-story.ts";

const SECOND = 1_000_000;

/** Small numbers, so that short sequences reach every rule. */
const POLICY: LockoutPolicy = {
  ...DEFAULT_POLICY,
  maxAttempts: 3,
  window: 100 * SECOND,
  lockDuration: 10 * SECOND,
  maxLockDuration: 40 * SECOND,
};

type Act =
  | { act: "lock"; seconds?: number }
  | { act: "unlock" | "activate" | "deactivate" | "own password" | "admin's password" }
  | { act: "login"; device: string; password: string }
  | { act: "wait"; seconds: number };

const device = fc.constantFrom("", "", "phone");
const wait = fc.record({
  act: fc.constant("wait" as const),
  seconds: fc.constantFrom(0.000_001, 1, 9, 10, 40, 99, 100),
});
const login = fc.record({
  act: fc.constant("login" as const),
  device,
  password: fc.constantFrom("right", ..."abcdefghi"),
});
const acts: fc.Arbitrary<Act> = fc.oneof(
  { weight: 24, arbitrary: login },
  { weight: 6, arbitrary: wait },
  {
    weight: 1,
    arbitrary: fc.record(
      { act: fc.constant("lock" as const), seconds: fc.constantFrom(0.000_001, 5, 50) },
      { requiredKeys: ["act"] },
    ),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      act: fc.constantFrom("unlock", "activate", "activate", "deactivate", "own password", "admin's password"),
    }),
  },
);

/** What README.md and the rules say of a user, in the plainest way. It knows no event, no epoch and no version. */
class Model {
  now = 0;
  isActive = true;
  /** Until when he is locked (Infinity: until unlocked), and whom it stops. */
  lock: { until: number; by: "hand" | "strangers" | "device" } | undefined;
  /** The wrong passwords that count, and the locks that they led to, since the last good login. */
  wrong: { at: number; device: string; password: string }[] = [];
  locks = 0;
  lastLock = -1;
  openSessions = new Set<number>();

  /** A lock that takes another's place ends no earlier. */
  noEarlier(until: number): number {
    return this.isLocked ? Math.max(until, this.lock?.until ?? 0) : until;
  }

  get isLocked() {
    return this.lock !== undefined && this.now < this.lock.until;
  }

  stops(device: string) {
    return this.isLocked && !(this.lock?.by === "strangers" && device !== "");
  }

  canLogIn(device: string) {
    return this.isActive && !this.stops(device);
  }

  forget() {
    this.wrong = [];
    this.locks = 0;
    this.lastLock = -1;
  }

  /** Whether the act is done; what is refused changes nothing. */
  do(act: Exclude<Act, { act: "wait" | "login" }>): boolean {
    switch (act.act) {
      case "lock":
        if (this.isLocked && this.lock?.by === "hand") return false;
        this.lock = {
          until: this.noEarlier(act.seconds === undefined ? Number.POSITIVE_INFINITY : this.now + micros(act.seconds)),
          by: "hand",
        };
        this.openSessions.clear();
        return true;
      case "unlock":
        if (!this.isLocked) return false;
        this.lock = undefined;
        this.forget();
        return true;
      case "activate":
        if (this.isActive) return false;
        this.isActive = true;
        return true;
      case "deactivate":
        if (!this.isActive) return false;
        this.isActive = false;
        this.openSessions.clear();
        return true;
      case "own password":
        this.forget();
        return true;
      case "admin's password":
        this.forget();
        this.openSessions.clear();
        return true;
    }
  }

  /** Whether he is let in. */
  logIn(device: string, password: string, session: number): boolean {
    if (!this.canLogIn(device)) return false;
    if (password === "right") {
      this.forget();
      this.openSessions.add(session);
      return true;
    }
    const isRecent = ({ at }: { at: number }) => at > this.now - POLICY.window;
    const isTheSame = this.wrong
      .slice(-3)
      .filter(isRecent)
      .some((one) => one.password === password);
    if (isTheSame) return false;
    this.wrong.push({ at: this.now, device, password });
    const counted = this.wrong.slice(this.lastLock + 1).filter((one) => isRecent(one) && one.device === device);
    if (counted.length < POLICY.maxAttempts) return false;
    const duration = Math.min(POLICY.lockDuration * 2 ** this.locks, POLICY.maxLockDuration);
    this.lock = { until: this.noEarlier(this.now + duration), by: device === "" ? "strangers" : "device" };
    this.locks++;
    this.lastLock = this.wrong.length - 1;
    this.openSessions.clear();
    return false;
  }
}

const micros = (seconds: number) => Math.round(seconds * SECOND);

function commandOf(act: Exclude<Act, { act: "wait" | "login" }>): UserCommand {
  switch (act.act) {
    case "lock":
      return {
        type: "lock",
        reason: "",
        note: "",
        ...(act.seconds !== undefined && { duration: micros(act.seconds) }),
      };
    case "own password":
      return { type: "set_password", hash: "another", changeRequired: false, endsSessions: false };
    case "admin's password":
      return { type: "set_password", hash: "yet another", changeRequired: false, endsSessions: true };
    default:
      return { type: act.act };
  }
}

function inWords({ type, data, time }: RecordedEvent): string {
  const { cause, until, knownDevicesPass } = data as { cause?: string; until?: number; knownDevicesPass?: true };
  if (cause === "expired") return cause;
  if (type !== "user.locked") return type.replace("user.", "");
  if (cause === "manual") return `locked by hand for ${until === undefined ? "ever" : "a time"}`;
  return `locked for ${(Number(until) - time) / SECOND} s for ${knownDevicesPass ? "strangers" : "all"}`;
}

/** The state without what the log leaves out. */
function withoutHashes(state: User): User {
  const { password, attempts } = state;
  return {
    ...state,
    ...(password && { password: { ...password, hash: "" } }),
    ...(attempts && { attempts: { ...attempts, remembered: attempts.remembered.map((one) => ({ ...one, mac: "" })) } }),
  };
}

describe("any sequence of logins, changes and clock steps", () => {
  let store: EventStore;
  let users = 0;

  beforeAll(async () => {
    store = await openSqliteStore(":memory:", "default");
  });
  afterAll(() => store.close());

  /** Does it with the store, and compares with the model after each step. Gives what came of it in words. */
  async function run(sequence: Act[]): Promise<string[]> {
    const id = `u${users++}`;
    const clock = handClock(START);
    const app = usersIn(store, clock);
    const sessions = createSessions({ store, execute: app.execute, clock });
    const model = new Model();
    const opened: string[] = [];
    await app.add(id, "hash");

    async function logIn(device: string, password: string): Promise<boolean> {
      const before = (await store.load(user.kind, id))?.state as User;
      const comparedWith = before.password?.hash as string;
      const isRight = password === "right";
      const checked = { isRight, comparedWith, device, mac: password, policy: POLICY };
      const after = await app.do(id, { type: "record_login", login: checked });
      if (!after.events.includes("user.login_succeeded")) return false;
      const opening = { id: `${id} session ${opened.length}`, tokenHash: `${id} ${opened.length}`, lifetime: 1e15 };
      opened.push((await sessions.open(after, opening, callerOf("login page"))).id);
      return true;
    }

    for (const act of sequence) {
      if (act.act === "wait") {
        model.now += micros(act.seconds);
        clock.set(START + model.now);
      } else if (act.act === "login") {
        const expected = model.logIn(act.device, act.password, opened.length);
        expect(await logIn(act.device, act.password)).toBe(expected);
      } else {
        const expected = model.do(act);
        const done = app.do(id, commandOf(act)).then(
          () => true,
          () => false,
        );
        expect(await done).toBe(expected);
      }
      await compare();
    }

    async function compare() {
      const state = (await store.load(user.kind, id))?.state as User;
      const standing = lockOf(state, clock());
      expect(standing !== undefined).toBe(model.isLocked);
      if (standing) expect((standing.until ?? Number.POSITIVE_INFINITY) - START).toBe(model.lock?.until);
      expect(state.lifecycle === "active").toBe(model.isActive);
      for (const [index, session] of opened.entries()) {
        const record = await store.load("session", session);
        const open = isOpen(record?.state as Parameters<typeof isOpen>[0], state, clock());
        expect([session, open]).toEqual([session, model.openSessions.has(index)]);
      }
    }

    const log = await app.log(id);
    let folded: User | undefined;
    for (const { type, data, time, actor } of log) {
      folded = user.evolve(folded, { type, data } as UserEvent, { time, actor });
    }
    const stored = (await store.load(user.kind, id))?.state as User;
    expect(withoutHashes(stored)).toEqual(folded);
    return log.map(inWords);
  }

  test("comes to what the model says, and its log to what is stored", async () => {
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.array(acts, { maxLength: 80, size: "max" }), async (sequence) => {
        for (const words of await run(sequence)) seen.add(words);
      }),
      { numRuns: 200 },
    );
    const reached = [
      ...["activated", "deactivated", "login_failed", "login_succeeded", "password_changed"],
      ...["locked by hand for ever", "locked by hand for a time", "unlocked", "expired"],
      ...["locked for 10 s for all", "locked for 10 s for strangers", "locked for 20 s for strangers"],
    ];
    expect([...seen]).toEqual(expect.arrayContaining(reached));
  });
});

import { setTimeout as sleep } from "node:timers/promises";
import { isIn, may, missing } from "../domain/access.ts";
import { DomainError, hasReason } from "../domain/errors.ts";
import { admit, type CheckedLogin, user } from "../domain/user.ts";
import { knownDevice, lockOf, loginNameClaim, type User } from "../domain/user-state.ts";
import { type EventStore, load, loadByClaim } from "../store/port.ts";
import type { Caller, Execute, Stored } from "./execute.ts";
import { createFairQueue } from "./fairness.ts";
import type { HashQueue, Turn } from "./hash-queue.ts";
import type { EffectivePolicy } from "./lockout-policies.ts";

/** Failed logins are answered at a multiple of this time, which hides how long they took. */
const SLOT_MS = 100;
/** The events of a decided login. */
const OUTCOMES = ["user.login_succeeded", "user.login_failed", "user.lock_probed"];
/** The number of logins that may wait, per user and in all. It bounds memory during an attack. */
const MAX_WAITING_EACH = 300;
const MAX_WAITING = 4_000;

/** Functions that need the instance's key, which is not in the store. */
interface LoginSecrets {
  /** A keyed hash: equal for equal passwords of the same user. */
  mac(userId: string, password: string): string;
  /** The id of a new device. */
  newDevice(): string;
  /** The id of the token's device, if the token was made for this user and has not expired. */
  deviceOf(userId: string, token: string, time: number): string | undefined;
}

export interface LoginAttempt {
  organization: string | undefined;
  user: { id: string } | { loginName: string };
  password: string;
  deviceToken: string;
}

/** How a login ended. Callers do not see it, because it would reveal who exists and who is locked. */
export type LoginOutcome = "ok" | "wrong_password" | "locked" | "inactive" | "unknown_user" | "busy";

export type Login = ReturnType<typeof createLogin>;

export function createLogin(parts: {
  store: EventStore;
  execute: Execute;
  policies: EffectivePolicy;
  hasher: HashQueue;
  secrets: LoginSecrets;
  clock: () => number;
  slotMs?: number | undefined;
  /** Called with each outcome, because most failures have no event. It must not throw. */
  onOutcome?: ((outcome: LoginOutcome) => void) | undefined;
}) {
  const { store, execute, policies, hasher, secrets, clock, slotMs = SLOT_MS, onOutcome } = parts;
  /** Serializes the logins of a user from one kind of device. Users do not wait for each other. */
  const inTurn = createFairQueue({
    atOnce: Infinity,
    atOnceEach: 1,
    waiting: MAX_WAITING,
    waitingEach: MAX_WAITING_EACH,
    full: "Too many logins are waiting. Try again later.",
  });
  /** The duration of the last failed login, milliseconds. */
  let lastFailureMs = 0;

  /** The user, if the caller may log them in. */
  async function find({ user: named, organization }: LoginAttempt, { principal }: Caller) {
    const permission = "session.write";
    if (organization !== undefined && !may(principal, permission, { type: "org", id: organization })) {
      throw missing(permission);
    }
    const record = await userOf(named, organization);
    return record && isIn(record.owner, organization) && may(principal, permission, record.owner) ? record : undefined;
  }

  /**
   * Rejects unless the password is the user's. `found` is undefined for a user that the caller cannot reach. A lost
   * login costs as much, but compares no password.
   */
  async function compare(
    named: string,
    found: Stored<User> | undefined,
    tried: Tried,
    caller: Caller,
    isLost = false,
  ): Promise<Stored<User>> {
    const started = performance.now();
    const device = found ? knownDevice(found.state, tried.device ?? "") : "";
    const isKnownDevice = device !== "";
    const { principal, signal } = caller;
    // Known devices of a user share a queue. Strangers queue by the name that they give, even if no user has it.
    const line = found && isKnownDevice ? `known ${found.id}` : named;
    const turn = { caller: principal.subject, user: line, isKnownDevice, signal };
    const work = async () => {
      const checked = found && !isLost ? await check(found.id, device, tried, caller, turn) : undefined;
      if (!checked) await hasher.pretend(tried.password, turn, found?.state.password?.hash);
      return checked;
    };
    const outcome = await inTurn(line, work, signal).catch((error) => {
      if (hasReason(error, "TOO_MANY_REQUESTS")) onOutcome?.("busy");
      throw error;
    });
    onOutcome?.(outcomeOf(outcome?.record ?? found, outcome, clock()));
    if (outcome?.isIn) return outcome.record;
    lastFailureMs = performance.now() - started;
    await untilNextSlot(lastFailureMs, slotMs, signal);
    const lock = outcome && lockOf(outcome.record.state, clock());
    if (outcome?.isRevealed && lock) {
      throw locked(isKnownDevice ? (lock.devicesUntil ?? lock.until) : lock.until, clock());
    }
    throw failed();
  }

  async function userOf(named: LoginAttempt["user"], organization: string | undefined) {
    if ("id" in named) return load(store, user, named.id);
    return loadByClaim(store, user, loginNameClaim(named.loginName, organization));
  }

  /** The result of a login; undefined if it was refused before its password was compared. */
  async function check(
    id: string,
    device: string,
    tried: Tried,
    caller: Caller,
    turn: Turn,
  ): Promise<Checked | undefined> {
    const record = await load(store, user, id);
    if (!record) return undefined;
    const { policy } = await policies(record.owner);
    // The password as typed, because an old hash may be of a form that differs from an earlier wrong one.
    const mac = secrets.mac(id, tried.password);
    const admission = admit(record.state, { device, mac, policy }, clock());
    if (admission === "refuse") return undefined;

    const comparedWith = record.state.password?.hash as string;
    const { isRight, isOutdated } = await hasher.verify(tried.password, comparedWith, turn);
    const newDevice = tried.isForDevice ? { newDevice: secrets.newDevice() } : {};
    const login: CheckedLogin = { isRight, comparedWith, device, ...newDevice, mac, policy };
    const change = { id, permission: "session.write", isAuthorised: true } as const;
    // A compared password counts even if the caller has disconnected.
    const counting = { ...caller, signal: new AbortController().signal };
    const after = await execute(user, { ...change, command: { type: "record_login", login } }, counting);
    // The password or its hash changed during the comparison, so compare again.
    const isDecided = after.events.some((type) => OUTCOMES.includes(type));
    const { password } = after.state;
    if (!isDecided && password && password.hash !== comparedWith) return check(id, device, tried, caller, turn);
    const isIn = isRight && after.events.includes("user.login_succeeded");
    if (isIn && isOutdated) {
      // A failure does not undo the login.
      await hasher
        .hash(tried.password, { ...turn, signal: counting.signal })
        .then((hash) =>
          execute(user, { ...change, command: { type: "rehash_password", hash, replaced: comparedWith } }, counting),
        )
        .catch(() => {});
    }
    const isRevealed = isRight && after.events.includes("user.lock_probed");
    return { isIn, isRevealed, isWrong: after.events.includes("user.login_failed"), record: after };
  }

  async function attemptLogin(attempt: LoginAttempt, caller: Caller, isLost = false): Promise<Stored<User>> {
    const found = await find(attempt, caller);
    const device = found && secrets.deviceOf(found.id, attempt.deviceToken, clock());
    const tried = { password: attempt.password, device, isForDevice: true };
    return compare(nameIn(attempt), found, tried, caller, isLost);
  }

  return {
    /**
     * Returns the user if the password is right and the login is allowed. The last of the known devices is the login's.
     * Rejects with LOGIN_FAILED for any other reason, at a time that reveals nothing; with USER_LOCKED if the policy
     * reveals it to a caller with the right password; with PERMISSION_MISSING for an organization out of reach; with
     * TOO_MANY_REQUESTS.
     */
    logIn: (attempt: LoginAttempt, caller: Caller): Promise<Stored<User>> => attemptLogin(attempt, caller),
    /** Rejects like a failed login, after the same work and time, without comparing a password. */
    async fail(attempt: LoginAttempt, caller: Caller): Promise<never> {
      await attemptLogin(attempt, caller, true);
      throw failed();
    },
    /** Like `logIn`, for callers that prove that they are this user, such as to set a password. */
    async prove(
      { id, organization }: { id: string; organization: string | undefined },
      password: string,
      caller: Caller,
    ): Promise<Stored<User>> {
      if (caller.principal.subject !== id) {
        // The caller cannot be another user. This costs no hash, but takes as long as a failure.
        const tookMs = lastFailureMs;
        await sleep(tookMs, undefined, { signal: caller.signal });
        await untilNextSlot(tookMs, slotMs, caller.signal);
        throw failed();
      }
      const record = await userOf({ id }, organization);
      const isThere = record && isIn(record.owner, organization);
      const named = nameIn({ user: { id }, organization });
      const { session } = caller.principal;
      return compare(named, isThere ? record : undefined, { password, device: session?.device }, caller);
    },
  };
}

interface Tried {
  password: string;
  /** The id of its device, if known. */
  device: string | undefined;
  /** A successful login makes the device known. */
  isForDevice?: boolean;
}

interface Checked {
  isIn: boolean;
  isRevealed: boolean;
  /** The password was wrong, which may have locked the user. */
  isWrong: boolean;
  record: Stored<User>;
}

/** The outcome of a login. `checked` is undefined if the password was not compared. */
function outcomeOf(found: Stored<User> | undefined, checked: Checked | undefined, now: number): LoginOutcome {
  if (checked?.isIn) return "ok";
  if (!found || user.isGone(found.state)) return "unknown_user";
  if (checked?.isWrong) return "wrong_password";
  if (found.state.lifecycle !== "active") return "inactive";
  // A user without a password, and a wrong password that is remembered, count as a wrong one.
  return lockOf(found.state, now) ? "locked" : "wrong_password";
}

function locked(until: number | undefined, now: number): DomainError {
  return new DomainError("USER_LOCKED", "The user is locked.", {
    ...(until !== undefined && { retryAfter: Math.max(until - now, 0) }),
  });
}

function failed(): DomainError {
  return new DomainError(
    "LOGIN_FAILED",
    "The login failed. The user or the password is wrong, or the user may not log in.",
  );
}

/** The name that the login gives. Spellings of one login name are equal, whether or not such a user exists. */
function nameIn({ user: named, organization }: Pick<LoginAttempt, "user" | "organization">): string {
  return JSON.stringify("id" in named ? named.id : [loginNameClaim(named.loginName, organization)]);
}

/** Waits for the end of the slot that began `elapsed` milliseconds ago. */
async function untilNextSlot(elapsed: number, slotMs: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.max(Math.ceil(elapsed / slotMs), 1) * slotMs - elapsed, undefined, { signal });
}

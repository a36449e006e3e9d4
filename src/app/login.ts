import { setTimeout as sleep } from "node:timers/promises";
import { isIn, may, missing } from "../domain/access.ts";
import { DomainError } from "../domain/errors.ts";
import { admit, type CheckedLogin, user } from "../domain/user.ts";
import { knownDevice, lockOf, loginNameClaim, type User } from "../domain/user-state.ts";
import { type EventStore, load, loadByClaim } from "../store/port.ts";
import type { Caller, Execute, Stored } from "./execute.ts";
import { createFairQueue } from "./fairness.ts";
import type { HashQueue, Turn } from "./hash-queue.ts";
import type { EffectivePolicy } from "./lockout-policies.ts";

/** Failed logins are answered at the next multiple of this, which hides how long they took. */
const SLOT_MS = 100;
/** What a login can come to. */
const OUTCOMES = ["user.login_succeeded", "user.login_failed", "user.lock_probed"];
/** Logins that may wait, of one user and in all; one more is refused, so that an attack does not fill the memory. */
const MAX_WAITING_EACH = 300;
const MAX_WAITING = 4_000;

/** What needs a key that is not in the store. */
interface LoginSecrets {
  /** The same for the same password of the same user. */
  mac(userId: string, password: string): string;
  /** Id of a new device. */
  newDevice(): string;
  /** Id of the device that the token was made for, if it was made for this user and is good at this time. */
  deviceOf(userId: string, token: string, time: number): string | undefined;
}

export interface LoginAttempt {
  organization: string | undefined;
  user: { id: string } | { loginName: string };
  password: string;
  deviceToken: string;
}

export type Login = ReturnType<typeof createLogin>;

export function createLogin(parts: {
  store: EventStore;
  execute: Execute;
  policies: EffectivePolicy;
  hasher: HashQueue;
  secrets: LoginSecrets;
  clock: () => number;
  slotMs?: number | undefined;
}) {
  const { store, execute, policies, hasher, secrets, clock, slotMs = SLOT_MS } = parts;
  /** One login of a user after the other, of those from one device. Users do not wait for each other. */
  const inTurn = createFairQueue({
    atOnce: Infinity,
    atOnceEach: 1,
    waiting: MAX_WAITING,
    waitingEach: MAX_WAITING_EACH,
    full: "Too many logins are waiting: try again later.",
  });
  /** How long the last failed login took, milliseconds. */
  let lastFailureMs = 0;

  /** The user whom the caller may log in, if there is one. */
  async function find({ user: named, organization }: LoginAttempt, { principal }: Caller) {
    const permission = "session.write";
    if (organization !== undefined && !may(principal, permission, { type: "org", id: organization })) {
      throw missing(permission);
    }
    const record = await userOf(named, organization);
    return record && isIn(record.owner, organization) && may(principal, permission, record.owner) ? record : undefined;
  }

  /**
   * Rejects unless the password is the user's; undefined stands for a user who is not there for the caller. A login
   * that is lost anyway costs as much and looks at no password.
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
    // Known devices of a user share a line. Strangers wait in a line for the name that they give, even of no user.
    const line = found && isKnownDevice ? `known ${found.id}` : named;
    const turn = { caller: principal.subject, user: line, isKnownDevice, signal };
    const work = async () => {
      const checked = found && !isLost ? await check(found.id, device, tried, caller, turn) : undefined;
      if (!checked) await hasher.pretend(tried.password, turn, found?.state.password?.hash);
      return checked;
    };
    const outcome = await inTurn(line, work, signal);
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

  /** What became of a login; `undefined` if it was refused before its password was compared. */
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
    // As it was typed: an old hash may be of that form, and not of another one that was wrong before.
    const mac = secrets.mac(id, tried.password);
    const admission = admit(record.state, { device, mac, policy }, clock());
    if (admission === "refuse") return undefined;

    const comparedWith = record.state.password?.hash as string;
    const { isRight, isOutdated } = await hasher.verify(tried.password, comparedWith, turn);
    const newDevice = tried.isForDevice ? { newDevice: secrets.newDevice() } : {};
    const login: CheckedLogin = { isRight, comparedWith, device, ...newDevice, mac, policy };
    const change = { id, permission: "session.write", isAuthorised: true } as const;
    // A password that was compared is counted, whether or not the caller still waits.
    const counting = { ...caller, signal: new AbortController().signal };
    const after = await execute(user, { ...change, command: { type: "record_login", login } }, counting);
    // Another password, or another hash, was set meanwhile: the comparison says nothing.
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
    return { isIn, isRevealed, record: after };
  }

  async function attemptLogin(attempt: LoginAttempt, caller: Caller, isLost = false): Promise<Stored<User>> {
    const found = await find(attempt, caller);
    const device = found && secrets.deviceOf(found.id, attempt.deviceToken, clock());
    const tried = { password: attempt.password, device, isForDevice: true };
    return compare(nameIn(attempt), found, tried, caller, isLost);
  }

  return {
    /**
     * The user, if the password is right and nothing forbids the login: the last of the known devices is the one that it
     * came from. Rejects with LOGIN_FAILED whatever else it is, at a time that does not tell; with USER_LOCKED where the
     * policy reveals it to a caller with the right password; with PERMISSION_MISSING for an organization that no grant
     * of the caller reaches; with TOO_MANY_REQUESTS.
     */
    logIn: (attempt: LoginAttempt, caller: Caller): Promise<Stored<User>> => attemptLogin(attempt, caller),
    /** Rejects like a failed login, after the same work and time, and looks at no password. */
    async fail(attempt: LoginAttempt, caller: Caller): Promise<never> {
      await attemptLogin(attempt, caller, true);
      throw failed();
    },
    /** The same for callers who prove that they are this user, such as to set a password. Rejects like `logIn`. */
    async prove(
      { id, organization }: { id: string; organization: string | undefined },
      password: string,
      caller: Caller,
    ): Promise<Stored<User>> {
      if (caller.principal.subject !== id) {
        // Nobody can prove that they are another one: this costs no hash, and looks as if it did.
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
  /** Id of the device that it comes from, if that can be told. */
  device: string | undefined;
  /** What it came from is known as a device from now on. */
  isForDevice?: boolean;
}

interface Checked {
  isIn: boolean;
  isRevealed: boolean;
  record: Stored<User>;
}

function locked(until: number | undefined, now: number): DomainError {
  return new DomainError("USER_LOCKED", "The user is locked.", {
    ...(until !== undefined && { retryAfter: Math.max(until - now, 0) }),
  });
}

function failed(): DomainError {
  return new DomainError(
    "LOGIN_FAILED",
    "The login failed: the user or the password is wrong, or the user may not log in.",
  );
}

/** The user as they are named. Spellings of one login name are the same, whether or not there is such a user. */
function nameIn({ user: named, organization }: Pick<LoginAttempt, "user" | "organization">): string {
  return JSON.stringify("id" in named ? named.id : [loginNameClaim(named.loginName, organization)]);
}

/** Waits for the end of the slot, so many milliseconds after it began. */
async function untilNextSlot(elapsed: number, slotMs: number, signal: AbortSignal): Promise<void> {
  await sleep(Math.max(Math.ceil(elapsed / slotMs), 1) * slotMs - elapsed, undefined, { signal });
}

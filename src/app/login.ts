import { setTimeout as sleep } from "node:timers/promises";
import { may, missing } from "../domain/access.ts";
import { DomainError } from "../domain/errors.ts";
import { admit, type CheckedLogin, user } from "../domain/user.ts";
import { lockOf, type User, usernameClaims } from "../domain/user-state.ts";
import type { EventStore } from "../store/port.ts";
import type { Caller, Execute, Stored } from "./execute.ts";
import type { EffectivePolicy } from "./policies.ts";

/** Failed logins are answered when the next multiple of this has passed, which hides what took less time. */
const SLOT_MS = 100;
/** What a login can come to. */
const OUTCOMES = ["user.login_succeeded", "user.login_failed", "user.lock_probed"];
/** Logins that may wait for one user's turn; one more is refused, so that an attack does not fill the memory. */
const MAX_WAITING = 300;

/** Hashes passwords, a few at a time. Its methods reject with TOO_MANY_REQUESTS when too many wait. */
export interface PasswordHasher {
  hash(password: string): Promise<string>;
  /** Whether the password is the one; `isOutdated` if the hash should be made anew. */
  verify(password: string, hash: string): Promise<{ isRight: boolean; isOutdated: boolean }>;
  /** Costs as much as `verify` with such a hash, or with one of its own, and says nothing. */
  pretend(password: string, like?: string): Promise<void>;
}

/** Keyed hashes, with a key that is not in the store. */
export interface Keyed {
  /** The same for the same password of the same user. */
  mac(userId: string, password: string): string;
  /** Id of the device that the token was made for, if it was made for this user. */
  deviceOf(userId: string, token: string): string | undefined;
}

export interface LoginAttempt {
  organization: string | undefined;
  user: { id: string } | { loginName: string };
  password: string;
  deviceToken: string;
}

export interface Login {
  /**
   * The user, if the password is right and nothing forbids him to log in. Rejects with LOGIN_FAILED whatever else it
   * is, at a time that does not tell; with USER_LOCKED where the policy reveals it to who has the right password; with
   * PERMISSION_MISSING for an organization that no grant of the caller reaches; with TOO_MANY_REQUESTS.
   */
  logIn(attempt: LoginAttempt, caller: Caller): Promise<Stored<User>>;
  /**
   * Does the same for a user who is named by the caller and proves that he is he, such as to set another password.
   * Rejects like `logIn`.
   */
  prove(
    self: { id: string; organization: string | undefined },
    password: string,
    caller: Caller,
  ): Promise<Stored<User>>;
}

export function createLogin(parts: {
  store: EventStore;
  execute: Execute;
  policies: EffectivePolicy;
  hasher: PasswordHasher;
  keyed: Keyed;
  clock: () => number;
}): Login {
  const { store, execute, policies, hasher, keyed, clock } = parts;
  const inTurn = createTurns(MAX_WAITING);

  /** The user whom the caller may log in, if there is one. */
  async function find({ user: named, organization }: LoginAttempt, { principal }: Caller) {
    const permission = "session.write";
    if (organization !== undefined && !may(principal, permission, { type: "org", id: organization })) {
      throw missing(permission);
    }
    const record = await load(named, organization);
    return record && isIn(record, organization) && may(principal, permission, record.owner) ? record : undefined;
  }

  /** Rejects unless the password is the user's; undefined stands for a user who is not there for the caller. */
  async function compare(
    named: string,
    found: Stored<User> | undefined,
    tried: Tried,
    caller: Caller,
  ): Promise<Stored<User>> {
    const started = performance.now();
    const device = found ? (keyed.deviceOf(found.id, tried.deviceToken) ?? "") : "";
    // Known devices do not wait behind strangers; who asks for somebody who is not there waits like anybody else.
    const outcome = await inTurn(`${found?.id ?? named} ${device}`, async () => {
      caller.signal.throwIfAborted();
      const checked = found && (await check(found.id, device, tried, caller));
      if (!checked) await hasher.pretend(tried.password, found?.state.password?.hash);
      return checked;
    });
    if (outcome?.isIn) return outcome.record;
    await untilNextSlot(started, caller.signal);
    const lock = outcome && lockOf(outcome.record.state, clock());
    if (outcome?.isRevealed && lock) throw locked(lock.until, clock());
    throw new DomainError("LOGIN_FAILED", "The login failed: the user or the password is wrong, or he may not log in.");
  }

  async function load(named: LoginAttempt["user"], organization: string | undefined) {
    if ("id" in named) return (await store.load(user.kind, named.id)) as Stored<User> | undefined;
    const claims = usernameClaims(named.loginName, organization);
    const records = await Promise.all(claims.map((claim) => store.loadByClaim(claim)));
    return records.find((record) => record !== undefined) as Stored<User> | undefined;
  }

  /** What became of a login; `undefined` if it was refused before its password was compared. */
  async function check(id: string, device: string, tried: Tried, caller: Caller): Promise<Outcome | undefined> {
    const record = (await store.load(user.kind, id)) as Stored<User>;
    const { policy } = await policies(record.owner);
    const mac = keyed.mac(id, tried.password);
    const admission = admit(record.state, { device, mac, policy }, clock());
    if (admission === "refuse") return undefined;

    const comparedWith = record.state.password?.hash as string;
    const { isRight, isOutdated } = await hasher.verify(tried.password, comparedWith);
    const login: CheckedLogin = { isRight, comparedWith, device, mac, policy };
    const change = { id, permission: "session.write", isAuthorised: true } as const;
    // A password that was compared is counted, whether or not the caller still waits.
    const counting = { ...caller, signal: new AbortController().signal };
    const after = await execute(user, { ...change, command: { type: "record_login", login } }, counting);
    // Meanwhile he has got another password, or another hash of the same one: the comparison says nothing.
    const isDecided = after.events.some((type) => OUTCOMES.includes(type));
    const { password } = after.state;
    if (!isDecided && password && password.hash !== comparedWith) return check(id, device, tried, caller);
    // That it was decided so, and not otherwise because of what happened meanwhile, shows in the events.
    const isIn = isRight && after.events.includes("user.login_succeeded");
    if (isIn && isOutdated) {
      // He is in all the same if it cannot be done now.
      await hasher
        .hash(tried.password)
        .then((hash) =>
          execute(user, { ...change, command: { type: "rehash_password", hash, replaced: comparedWith } }, counting),
        )
        .catch(() => {});
    }
    const isRevealed = isRight && after.events.includes("user.lock_probed");
    return { isIn, isRevealed, record: after };
  }

  return {
    logIn: async (attempt, caller) =>
      compare(JSON.stringify(attempt.user), await find(attempt, caller), attempt, caller),
    async prove({ id, organization }, password, caller) {
      const isSelf = caller.principal.subject === id;
      const record = isSelf ? await load({ id }, organization) : undefined;
      const isThere = record && isIn(record, organization);
      return compare(JSON.stringify({ id }), isThere ? record : undefined, { password, deviceToken: "" }, caller);
    },
  };
}

type Tried = Pick<LoginAttempt, "password" | "deviceToken">;

interface Outcome {
  isIn: boolean;
  isRevealed: boolean;
  record: Stored<User>;
}

/** Whether the user is where he is expected, which is anywhere if no organization is named. */
function isIn({ owner }: Stored<User>, organization: string | undefined): boolean {
  return organization === undefined || (owner.type === "org" && owner.id === organization);
}

function locked(until: number | undefined, now: number): DomainError {
  return new DomainError("USER_LOCKED", "The user is locked.", {
    ...(until !== undefined && { retryAfter: Math.max(until - now, 0) }),
  });
}

async function untilNextSlot(started: number, signal: AbortSignal): Promise<void> {
  const elapsed = performance.now() - started;
  await sleep(Math.ceil(elapsed / SLOT_MS) * SLOT_MS - elapsed, undefined, { signal });
}

/** Runs work of one key one after the other. Rejects with TOO_MANY_REQUESTS when too much waits under it. */
function createTurns(limit: number) {
  const queues = new Map<string, { last: Promise<unknown>; length: number }>();
  return async <Result>(key: string, work: () => Promise<Result>): Promise<Result> => {
    const queue = queues.get(key) ?? { last: Promise.resolve(), length: 0 };
    if (queue.length >= limit) {
      throw new DomainError("TOO_MANY_REQUESTS", "Too many logins are waiting: try again later.");
    }
    queues.set(key, queue);
    queue.length++;
    const turn = queue.last.then(work, work);
    queue.last = turn;
    try {
      return await turn;
    } finally {
      queue.length--;
      if (queue.length === 0) queues.delete(key);
    }
  };
}

// Proves that a token gives a principal or the reason of the refusal.
import { createExecute } from "../../../src/app/execute.ts";
import { createFindSession } from "../../../src/app/sessions.ts";
import { createAuthenticate, hashSecret, newSecret, newSessionSecret } from "../../../src/auth/authenticate.ts";
import type { Principal } from "../../../src/domain/access.ts";
import type { Aggregate, DomainEvent } from "../../../src/domain/aggregate.ts";
import { session } from "../../../src/domain/session.ts";
import { accessToken } from "../../../src/domain/token.ts";
import { type UserCommand, user } from "../../../src/domain/user.ts";
import type { EventStore } from "../../../src/store/port.ts";
import { openSqliteStore } from "../../../src/store/sqlite/store.ts";
import { NOW } from "../../support/stores/appends.ts";

const OWNER = { type: "instance", id: "default" } as const;
const [OF_SCANNER, OF_ANN, EXPIRED, REVOKED] = [newSecret(), newSecret(), newSecret(), newSecret()];
const [SESSION, ENDED] = [newSessionSecret(), newSessionSecret()];
const JWT_OF_ANN = "header.claims.signature";

let store: EventStore;
let asked: string[];
let now: number;

/** The store, with each call recorded in `asked`. */
function watched(): EventStore {
  return new Proxy(store, {
    get(target, name: keyof EventStore) {
      return (...args: never[]) => {
        asked.push(name);
        return (target[name] as (...args: never[]) => unknown)(...args);
      };
    },
  });
}

async function authenticate(authorization: string | undefined): Promise<Principal> {
  const parts = { store: watched(), clock: () => now };
  const verifyJwt = async () => ({ subject: "ann", grants: [] });
  const authenticated = createAuthenticate({ ...parts, verifyJwt, findSession: createFindSession(parts) });
  return (await authenticated(authorization)).principal;
}

async function change<State, Command>(
  aggregate: Aggregate<State, Command, DomainEvent>,
  id: string,
  command: Command,
  isNew = false,
): Promise<void> {
  const principal = { subject: "operator", grants: [{ role: "INSTANCE_OWNER" } as const] };
  const caller = { principal, actor: { subject: "operator" }, signal: new AbortController().signal };
  const authorised = { permission: "user.write", isAuthorised: true } as const;
  const execute = createExecute({ store, clock: () => now });
  await execute(aggregate, { id, command, ...authorised, ...(isNew && { newOwner: OWNER }) }, caller);
}

const changeAnn = (command: UserCommand) => change(user, "ann", command);

beforeEach(async () => {
  store = await openSqliteStore(":memory:", "default");
  asked = [];
  now = NOW;
  await change(user, "ann", { type: "create", id: "ann", owner: OWNER, profile: {}, usernames: [] }, true);
  const tokens = { scanner: OF_SCANNER, ann: OF_ANN, late: EXPIRED, gone: REVOKED };
  for (const [subject, secret] of Object.entries(tokens)) {
    const ending = secret === EXPIRED && { expires: NOW + 1 };
    const token = { id: `token of ${subject}`, owner: OWNER, subject, grants: [], hash: hashSecret(secret), ...ending };
    await change(accessToken, token.id, { type: "create", token }, true);
  }
  await change(accessToken, "token of gone", { type: "revoke" });
  for (const secret of [SESSION, ENDED]) {
    const opened = { id: secret, owner: OWNER, userId: "ann", epoch: 0, hash: hashSecret(secret), expires: NOW + 9 };
    await change(session, secret, { type: "open", session: opened }, true);
  }
  await change(session, ENDED, { type: "end" });
  now = NOW + 1;
});
afterEach(() => store.close());

test.each([
  ["a token whose subject is not a user", OF_SCANNER, { subject: "scanner", tokenId: "token of scanner" }],
  ["a user's token", OF_ANN, { subject: "ann", tokenId: "token of ann" }],
  ["a session", SESSION, { subject: "ann", session: { id: SESSION, epoch: 0 }, expires: NOW + 9 }],
  ["a JWT", JWT_OF_ANN, { subject: "ann" }],
])("%s gives its principal with one look-up", async (_, secret, principal) => {
  expect(await authenticate(`Bearer ${secret}`)).toEqual({ ...principal, grants: [] });
  expect(asked).toHaveLength(1);
});

test.each([
  ["a missing header", undefined, "TOKEN_MISSING", 0],
  ["an empty header", "", "TOKEN_MISSING", 0],
  ["another scheme", `Basic ${OF_ANN}`, "TOKEN_INVALID", 0],
  ["a scheme alone", "Bearer ", "TOKEN_INVALID", 0],
  ["a header with two tokens", `Bearer ${OF_ANN} ${OF_ANN}`, "TOKEN_INVALID", 0],
  ["an unknown token", `Bearer ${newSecret()}`, "TOKEN_INVALID", 1],
  ["a revoked token", `Bearer ${REVOKED}`, "TOKEN_INVALID", 1],
  ["an expired token", `Bearer ${EXPIRED}`, "TOKEN_EXPIRED", 1],
  ["an unknown session", `Bearer ${newSessionSecret()}`, "TOKEN_INVALID", 1],
  ["an ended session", `Bearer ${ENDED}`, "TOKEN_INVALID", 1],
])("%s is refused with no more look-ups than needed", async (_, authorization, reason, lookUps) => {
  await expect(authenticate(authorization)).rejects.toMatchObject({ reason });
  expect(asked).toHaveLength(lookUps);
});

test.each<[name: string, end: UserCommand, takeBack: UserCommand | undefined]>([
  ["locked by hand", { type: "lock", reason: "", note: "" }, { type: "unlock" }],
  ["inactive", { type: "deactivate" }, { type: "activate" }],
  ["deleted", { type: "delete" }, undefined],
])(
  "a user who is %s is refused with any credential, and an older session stays refused afterwards",
  async (_, end, takeBack) => {
    await changeAnn(end);
    for (const secret of [OF_ANN, JWT_OF_ANN, SESSION]) {
      await expect(authenticate(`Bearer ${secret}`)).rejects.toMatchObject({ reason: "TOKEN_INVALID" });
    }
    if (!takeBack) return;
    await changeAnn(takeBack);
    for (const secret of [OF_ANN, JWT_OF_ANN]) {
      expect(await authenticate(`Bearer ${secret}`)).toMatchObject({ subject: "ann" });
    }
    await expect(authenticate(`Bearer ${SESSION}`)).rejects.toMatchObject({ reason: "TOKEN_INVALID" });
  },
);

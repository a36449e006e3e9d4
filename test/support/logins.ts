import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { SessionService } from "../../gen/userlock/v3alpha/session_service_pb.ts";
import { type LockoutPolicySchema, SettingsService } from "../../gen/userlock/v3alpha/settings_service_pb.ts";
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import type { Answer, Door } from "./clients/doors.ts";
import { ADMIN_TOKEN } from "./servers/server-process.ts";

/** The default password of test users. */
export const PASSWORD = "correct horse battery staple";

export const asOwner = { token: ADMIN_TOKEN };
export const inOrganization = (value: string) => ({ organization: { property: { case: "orgId" as const, value } } });

export const ok = (answer: Answer) => expect(answer).toMatchObject({ code: "OK" });
/** `code` and `reason` of an answer in one text. */
export const outcomeOf = ({ code, reason }: Answer) => (reason === undefined ? code : `${code} ${reason}`);
export const refused = (answer: Answer, code: string, reason: string) =>
  expect(outcomeOf(answer)).toBe(`${code} ${reason}`);

/** A login request. Absent fields are not sent. */
export interface Login {
  user?: { case: "userId" | "loginName"; value: string };
  organization?: ReturnType<typeof inOrganization>["organization"];
  password?: string;
  deviceToken?: string;
  address?: string;
  userAgent?: string;
}

export const byId = (value: string) => ({ user: { case: "userId" as const, value } });
export const byName = (value: string) => ({ user: { case: "loginName" as const, value } });

export interface NewUser {
  id: string;
  organization?: string;
  /** Empty for no password. */
  password?: string;
  hash?: string;
  names?: readonly [name: string, isOrganizationSpecific?: boolean][];
}

/** Adds a user, with the default password if no other is given. */
export async function addUser(door: Door, { id, organization, password, hash, names = [] }: NewUser): Promise<string> {
  const type =
    hash === undefined
      ? { case: "password" as const, value: password ?? PASSWORD }
      : { case: "hash" as const, value: hash };
  const usernames = names.map(([username, isOrganizationSpecific = false]) => ({ username, isOrganizationSpecific }));
  const authenticators = { usernames, ...(type.value !== "" && { password: { type } }) };
  const request = {
    ...(organization !== undefined && inOrganization(organization)),
    user: { userId: id, authenticators },
  };
  ok(await door.call(UserService.method.createUser, request, asOwner));
  return id;
}

/** Logs in, with the default password if no other is given. */
export const logIn = (door: Door, who: Login, token: string | undefined = ADMIN_TOKEN, key?: string) =>
  door.call(SessionService.method.createSession, { password: PASSWORD, ...who } as never, {
    token,
    ...(key !== undefined && { headers: { "idempotency-key": key } }),
  });

/** Opens a session of the user. */
export async function openSession(door: Door, id: string, more: Login = {}) {
  const answer = await logIn(door, { ...byId(id), ...more });
  ok(answer);
  const { sessionId, sessionToken, deviceToken } = answer.response!;
  return { sessionId, sessionToken, deviceToken };
}

let wrongOnes = 0;
/** Tries `count` different wrong passwords, one after another. */
export async function failLogins(door: Door, id: string, count: number, more: Login = {}): Promise<void> {
  for (let index = 0; index < count; index++) {
    const answer = await logIn(door, { ...byId(id), password: `wrong ${++wrongOnes}`, ...more });
    refused(answer, "UNAUTHENTICATED", "LOGIN_FAILED");
  }
}

/** Sets the policy of the organization or of the instance. */
export async function setPolicy(
  door: Door,
  policy: MessageInitShape<typeof LockoutPolicySchema>,
  organization?: string,
): Promise<void> {
  const place = organization === undefined ? {} : inOrganization(organization);
  ok(await door.call(SettingsService.method.setLockoutPolicy, { ...place, policy }, asOwner));
}

export const seconds = (value: number) => ({ seconds: BigInt(value), nanos: 0 });

export interface LoggedEvent {
  type: string;
  /** Microseconds since the Unix epoch. */
  time: number;
  actor: Record<string, unknown>;
  data: Record<string, unknown>;
}

/** The events of an object, a user by default, from the store's file. */
export function readLog(file: string, id: string, kind = "user"): LoggedEvent[] {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const rows = database
      .prepare("SELECT type, time, actor, data FROM events WHERE kind = ? AND id = ? ORDER BY version")
      .all(kind, id);
    return rows.map(({ type, time, actor, data }) => ({
      type: type as string,
      time: time as number,
      actor: JSON.parse(actor as string),
      data: JSON.parse(data as string),
    }));
  } finally {
    database.close();
  }
}

export const typesOf = (events: LoggedEvent[]) => events.map(({ type }) => type);

/** Waits until a little after the given time, because timers are not exact. */
export async function waitUntil(time: Timestamp | undefined): Promise<void> {
  await sleep(timestampMs(time!) - Date.now() + 5);
}

/** All rows of the store's file. */
export function dump(file: string): unknown[] {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    return ["events", "streams", "claims"].map((table) => database.prepare(`SELECT * FROM ${table}`).all());
  } finally {
    database.close();
  }
}

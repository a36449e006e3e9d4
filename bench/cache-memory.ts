/**
 * What a user takes in the cache: of 1,000,000 users, the growth of the process (resident memory) divided by the users
 * that are found again. All is in it: ids, index, states, and the pages of the index that are touched. Each kind of
 * user has a process of its own, whose heap has settled before, with a cache of about the size that they need.
 *
 *   npm run bench:cache-memory
 */
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { createStateCache } from "../src/app/state-cache.ts";
import { type UserCommand, user } from "../src/domain/user.ts";
import type { User } from "../src/domain/user-state.ts";
import type { StreamRecord } from "../src/store/port.ts";
import { measure, type Round } from "./support/rounds.ts";

const USERS = Number(process.env.BENCH_USERS ?? 1_000_000);
const START = 1_764_000_000_000_000;
const SETTLING = Math.min(200_000, USERS);
const OWNER = { type: "org", id: "acme" } as const;

type More = Partial<Extract<UserCommand, { type: "create" }>>;

/** Kinds of users, the size of their cache in MiB for 1,000,000 of them, and what they are created with. */
const KINDS: Record<string, { mebibytes: number; more(index: number, newId: () => string): More }> = {
  locked: { mebibytes: 64, more: () => ({}) },
  "locked, with a user name": { mebibytes: 72, more: (index, newId) => ({ usernames: [nameOf(index, newId())] }) },
  "locked, with a user name, an address and a password": {
    mebibytes: 168,
    more: (index, newId) => ({
      usernames: [nameOf(index, newId())],
      profile: { email: { address: `user-${index}@example.com`, verified: true } },
      password: { hash: hashOf(index), changeRequired: false },
    }),
  },
};

const nameOf = (index: number, id: string) => ({ id, name: `user-${index}`, organizationSpecific: false });

/** As argon2id writes it: bytes of which no two users have the same. */
function hashOf(index: number): string {
  const bytes = (from: number, size: number) =>
    Uint8Array.from({ length: size }, (_, place) => Math.imul(index * 64 + from + place, 0x9e3779b1) >>> 24);
  const text = (some: Uint8Array) => Buffer.from(some).toString("base64").replaceAll("=", "");
  return `$argon2id$v=19$m=19456,t=2,p=1$${text(bytes(0, 16))}$${text(bytes(16, 32))}`;
}

/**
 * Users one after the other, with ids as the server makes them, each created at another time and locked after up to
 * three weeks.
 */
function* users(kind: string, count: number): Generator<StreamRecord> {
  for (let index = 0; index < count; index++) {
    const created = START + index * 1_117_333;
    let ids = 0;
    const newId = () => `${Math.floor(created / 1_000)}${String(ids++).padStart(4, "0")}4815162`;
    const id = newId();
    const create: UserCommand = { type: "create", id, owner: OWNER, profile: {}, usernames: [] };
    Object.assign(create, KINDS[kind]?.more(index, newId));
    const changed = created + ((index * 7_919_333_777) % (21 * 24 * 3_600_000_000));
    let state: User | undefined;
    for (const [command, at] of [
      [create, created],
      [{ type: "lock", reason: "fraud", note: "" } as const, changed],
    ] as const) {
      const occasion = { time: at, actor: { subject: "operator" } };
      for (const event of user.decide(state, command, occasion)) state = user.evolve(state, event, occasion);
    }
    yield { kind: user.kind, id, version: 2, owner: OWNER, created, changed, state };
  }
}

/** Once garbage is collected, and what it took has been given back. */
async function residentBytes(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.();
    await sleep(100);
  }
  return process.memoryUsage.rss();
}

async function fill(
  kind: string,
  count: number,
  bytes: number,
): Promise<{ idle: number; full: number; found: number }> {
  const before = await residentBytes();
  const cache = createStateCache({ kind: user.kind, bytes });
  const idle = (await residentBytes()) - before;
  for (const record of users(kind, count)) cache.put(record);
  const full = (await residentBytes()) - before;
  let found = 0;
  for (const { id, version } of users(kind, count)) if (cache.get(id)?.version === version) found++;
  return { idle, full, found };
}

/** Bytes a user, from a process of its own. */
async function round(one: string): Promise<Round> {
  const flags = ["--expose-gc", "--max-semi-space-size=1"];
  const line = execFileSync(process.execPath, [...flags, "bench/cache-memory.ts", one], { encoding: "utf8" }).trim();
  return { value: Number.parseFloat(line), line };
}

const [kind] = process.argv.slice(2);
if (kind === undefined) {
  for (const one of Object.keys(KINDS)) {
    const name = `memory of a cached user, ${USERS.toLocaleString("en")} of them: ${one}`;
    await measure({ name, bound: 150, aim: 64, isLessBetter: true, unit: " B" }, () => round(one));
  }
} else {
  const bytes = Math.max(((KINDS[kind]?.mebibytes ?? 0) * 2 ** 20 * USERS) / 1_000_000, 2 ** 20);
  await fill(kind, SETTLING, 2 ** 22);
  const { idle, full, found } = await fill(kind, USERS, bytes);
  console.log(
    `${(full / found).toFixed(1)} B each, ${found} of ${USERS} are found; ` +
      `a cache of ${Math.round(bytes / 2 ** 20)} MiB took ${(idle / 1024).toFixed(0)} KiB before the first`,
  );
}

import { readFile } from "node:fs/promises";
import { createLocalJWKSet, createRemoteJWKSet, type JWTVerifyGetKey, jwksCache } from "jose";

/** How old a key set that was fetched becomes before it is fetched anew, microseconds. */
const REFRESH = 60_000_000;
/** How long it is good where that cannot be done, milliseconds. */
const GOOD_MS = 600_000;
/** How soon it is fetched anew for a key that is not in it, milliseconds. */
const COOLDOWN_MS = 30_000;
const TIMEOUT_MS = 5_000;

/** The keys by which an issuer signs (RFC 7517). */
export interface KeySet {
  /** Rejects if there is no such key, or if the set cannot be fetched. */
  find: JWTVerifyGetKey;
  /** Resolves once the set is as new as it shall be, or cannot be had. */
  refresh(): Promise<void>;
  /** Another value whenever the keys are others; undefined while no set is good. */
  edition(): string | undefined;
}

/**
 * The key set in a file, which is read now, or at an address (http, https): fetched when it is first needed and then
 * once a minute, so that a key that its issuer withdraws is taken no longer. Rejects if the file cannot be read.
 */
export async function createKeySet(place: string, clock: () => number): Promise<KeySet> {
  if (/^https?:/.test(place)) return fetchedKeySet(new URL(place), clock);
  const find = createLocalJWKSet(JSON.parse(await readFile(place, "utf8")));
  return { find, refresh: async () => {}, edition: () => place };
}

function fetchedKeySet(address: URL, clock: () => number): KeySet {
  /** Filled at each fetch. */
  const fetched: { uat?: number; jwks?: unknown } = {};
  const find = createRemoteJWKSet(address, {
    timeoutDuration: TIMEOUT_MS,
    cooldownDuration: COOLDOWN_MS,
    cacheMaxAge: GOOD_MS,
    [jwksCache]: fetched as Record<string, never>,
  });
  let tried = Number.NEGATIVE_INFINITY;
  let edition: { of: number | undefined; text: string } | undefined;

  return {
    find,
    async refresh() {
      const due = Math.max(tried, (fetched.uat ?? 0) * 1_000) + REFRESH;
      // Who needs a key while no set is good fetches one himself.
      if (clock() < due || !find.fresh) return;
      tried = clock();
      // One caller waits for it. If it fails, what is there is good for a while.
      await find.reload().catch(() => {});
    },
    edition() {
      if (!find.fresh) return undefined;
      if (edition?.of !== fetched.uat) edition = { of: fetched.uat, text: JSON.stringify(fetched.jwks) };
      return edition?.text;
    },
  };
}

import { readFile } from "node:fs/promises";
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWK, type ProtectedHeaderParameters } from "jose";
import { DomainError } from "../domain/errors.ts";

const SECOND = 1_000_000;
/** The age at which a key set is fetched again. */
const REFRESH = 60 * SECOND;
/** The age up to which it is used if that fails. */
const GOOD = 600 * SECOND;
/** The pause before it is fetched again for an unknown key. */
const COOLDOWN = 30 * SECOND;
/** The pause after a failed fetch. It doubles with each further failure. */
const FIRST_PAUSE = SECOND;
const LONGEST_PAUSE = 60 * SECOND;
/** Failures are logged once in this time. */
const LOG_EACH = 60 * SECOND;
const TIMEOUT_MS = 5_000;
const MAX_BYTES = 1024 * 1024;
/** A token that names no key may be tried with each of them. */
const MAX_KEYS = 100;

/** The keys with which an issuer signs (RFC 7517). */
interface KeySet {
  /** The keys that may have signed a token with this header. Rejects with KEYS_UNAVAILABLE without a good set. */
  find(header: ProtectedHeaderParameters): Promise<CryptoKey[]>;
  /** Resolves once the set is fresh, or cannot be fetched. */
  refresh(): Promise<void>;
  /** Changes with the keys. Undefined while no set is good. */
  edition(): string | undefined;
}

type Keys = ReturnType<typeof keysIn>;

/** Sees a fetch. The headers go with the request, and `ended` is called once. */
export type ObserveFetch = () => { headers?: Record<string, string> | undefined; ended(isFetched: boolean): void };

/**
 * Opens a key set in a file, which is read once, or at a URL (http, https). A URL is fetched at first use and then once
 * a minute, so that a withdrawn key is soon refused. `onError` gets failed fetches, at most once a minute; `onFetch` is
 * called before each fetch. Rejects if the file cannot be read.
 */
export async function createKeySet(
  place: string,
  clock: () => number,
  onError: (error: unknown) => void,
  onFetch?: ObserveFetch,
): Promise<KeySet> {
  if (/^https?:/.test(place)) return fetchedKeySet(place, clock, onError, onFetch);
  const keys = keysIn(await readFile(place, "utf8"));
  return { find: keys.fitting, refresh: async () => {}, edition: () => place };
}

function fetchedKeySet(
  address: string,
  clock: () => number,
  onError: (error: unknown) => void,
  onFetch?: ObserveFetch,
): KeySet {
  let current: { keys: Keys; at: number } | undefined;
  let fetching: Promise<void> | undefined;
  let tried = Number.NEGATIVE_INFINITY;
  let logged = Number.NEGATIVE_INFINITY;
  let failure: { count: number; error: unknown } | undefined;

  /** Whether the time is less than `duration` ago. After the clock was set back, it is not. */
  function isWithin(duration: number, time: number): boolean {
    const age = clock() - time;
    return age >= 0 && age < duration;
  }

  function good(): Keys | undefined {
    return current && isWithin(GOOD, current.at) ? current.keys : undefined;
  }

  function isPaused(): boolean {
    return failure !== undefined && isWithin(Math.min(FIRST_PAUSE * 2 ** (failure.count - 1), LONGEST_PAUSE), tried);
  }

  /** Fetches the set. Concurrent calls share one fetch. */
  function fetchAnew(): Promise<void> {
    fetching ??= (async () => {
      tried = clock();
      const observed = onFetch?.();
      try {
        current = { keys: keysIn(await textAt(address, observed?.headers)), at: clock() };
        failure = undefined;
      } catch (error) {
        failure = { count: (failure?.count ?? 0) + 1, error };
        if (!isWithin(LOG_EACH, logged)) {
          logged = clock();
          onError(error);
        }
      } finally {
        fetching = undefined;
        observed?.ended(failure === undefined);
      }
    })();
    return fetching;
  }

  function unavailable(): DomainError {
    return new DomainError("KEYS_UNAVAILABLE", "The keys of the token's issuer cannot be fetched. Try again.", {
      cause: failure?.error,
    });
  }

  return {
    async find(header) {
      if (!good() && !isPaused()) await fetchAnew();
      const keys = await good()?.fitting(header);
      if (keys && keys.length > 0) return keys;
      if (!isPaused() && !isWithin(COOLDOWN, tried)) await fetchAnew();
      // The key may be a new one.
      if (failure) throw unavailable();
      return (await good()?.fitting(header)) ?? [];
    },
    async refresh() {
      // While no set is good, `find` fetches one.
      if (!good() || isPaused() || isWithin(REFRESH, Math.max(tried, current?.at ?? 0))) return;
      // Only one caller waits for it. If it fails, the present set is good for a while.
      if (!fetching) await fetchAnew();
    },
    edition: () => good()?.text,
  };
}

/** Fetches the body. Rejects if the status is not 200, or if it is too long or too late. */
async function textAt(address: string, more: Record<string, string> = {}): Promise<string> {
  const headers = { ...more, accept: "application/json, application/jwk-set+json" };
  const response = await fetch(address, { headers, redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS) });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop closes the connection.
  for await (const chunk of response.body ?? []) {
    if (response.status !== 200) break;
    bytes += chunk.byteLength;
    if (bytes > MAX_BYTES) throw new Error(`the key set has more than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  if (response.status !== 200) throw new Error(`the key set's URL answers with status ${response.status}`);
  return Buffer.concat(chunks).toString("utf8");
}

/** Parses a key set and ignores unusable keys. Throws if the text is not a key set. */
function keysIn(text: string) {
  const { keys: all } = (JSON.parse(text) ?? {}) as { keys?: unknown };
  if (!Array.isArray(all)) throw new Error("the key set has no array of keys");
  if (all.length > MAX_KEYS) throw new Error(`the key set has more than ${MAX_KEYS} keys`);
  const keys = all.filter((key): key is JWK => typeof key === "object" && key !== null && !Array.isArray(key));
  const find = createLocalJWKSet({ keys } satisfies JSONWebKeySet);

  async function fitting(header: ProtectedHeaderParameters): Promise<CryptoKey[]> {
    try {
      return [await find(header as Parameters<typeof find>[0])];
    } catch (error) {
      const several: CryptoKey[] = [];
      // Other errors concern a single matching key that is broken.
      if (error instanceof errors.JWKSMultipleMatchingKeys) for await (const key of error) several.push(key);
      return several;
    }
  }
  return { fitting, text };
}

import { readFile } from "node:fs/promises";
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWK, type ProtectedHeaderParameters } from "jose";
import { DomainError } from "../domain/errors.ts";

const SECOND = 1_000_000;
/** How old a key set that was fetched becomes before it is fetched anew. */
const REFRESH = 60 * SECOND;
/** How long it is good where that cannot be done. */
const GOOD = 600 * SECOND;
/** How soon it is fetched anew for a key that is not in it. */
const COOLDOWN = 30 * SECOND;
/** No fetch follows sooner on one that failed; the pause doubles with each further one. */
const FIRST_PAUSE = SECOND;
const LONGEST_PAUSE = 60 * SECOND;
/** Failures are logged once in this time. */
const TOLD_EACH = 60 * SECOND;
const TIMEOUT_MS = 5_000;
const MAX_BYTES = 1024 * 1024;
/** Each may be tried for a token that names none. */
const MAX_KEYS = 100;

/** The keys by which an issuer signs (RFC 7517). */
interface KeySet {
  /** Those that may have signed a token with this header. Rejects with KEYS_UNAVAILABLE if the set cannot be had. */
  find(header: ProtectedHeaderParameters): Promise<CryptoKey[]>;
  /** Resolves once the set is fresh, or cannot be fetched. */
  refresh(): Promise<void>;
  /** Another value whenever the keys are others; undefined while no set is good. */
  edition(): string | undefined;
}

type Keys = ReturnType<typeof keysIn>;

/**
 * The key set in a file, which is read now, or at an address (http, https): fetched when it is first needed and then
 * once a minute, so that a withdrawn key is refused soon. `onError` gets failed fetches, once a minute at most. Rejects
 * if the file cannot be read.
 */
export async function createKeySet(
  place: string,
  clock: () => number,
  onError: (error: unknown) => void,
): Promise<KeySet> {
  if (/^https?:/.test(place)) return fetchedKeySet(place, clock, onError);
  const keys = keysIn(await readFile(place, "utf8"));
  return { find: keys.fitting, refresh: async () => {}, edition: () => place };
}

function fetchedKeySet(address: string, clock: () => number, onError: (error: unknown) => void): KeySet {
  let current: { keys: Keys; at: number } | undefined;
  let fetching: Promise<void> | undefined;
  let tried = Number.NEGATIVE_INFINITY;
  let told = Number.NEGATIVE_INFINITY;
  let failure: { count: number; error: unknown } | undefined;

  /** Whether it is less than so long ago. A clock that was set back makes it long ago. */
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

  /** One fetch for all who need it. */
  function fetchAnew(): Promise<void> {
    fetching ??= (async () => {
      tried = clock();
      try {
        current = { keys: keysIn(await textAt(address)), at: clock() };
        failure = undefined;
      } catch (error) {
        failure = { count: (failure?.count ?? 0) + 1, error };
        if (!isWithin(TOLD_EACH, told)) {
          told = clock();
          onError(error);
        }
      } finally {
        fetching = undefined;
      }
    })();
    return fetching;
  }

  function unavailable(): DomainError {
    return new DomainError("KEYS_UNAVAILABLE", "The keys of the token's issuer cannot be fetched: try again.", {
      cause: failure?.error,
    });
  }

  return {
    async find(header) {
      if (!good() && !isPaused()) await fetchAnew();
      const keys = await good()?.fitting(header);
      if (keys && keys.length > 0) return keys;
      if (!isPaused() && !isWithin(COOLDOWN, tried)) await fetchAnew();
      // It may be a key that is new.
      if (failure) throw unavailable();
      return (await good()?.fitting(header)) ?? [];
    },
    async refresh() {
      // While no set is good, `find` fetches one.
      if (!good() || isPaused() || isWithin(REFRESH, Math.max(tried, current?.at ?? 0))) return;
      // One caller waits for it. If it fails, what is there is good for a while.
      if (!fetching) await fetchAnew();
    },
    edition: () => good()?.text,
  };
}

/** The body of what is at the address. Rejects for an answer that is not 200, too long or too late. */
async function textAt(address: string): Promise<string> {
  const headers = { accept: "application/json, application/jwk-set+json" };
  const response = await fetch(address, { headers, redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS) });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // To leave the loop ends the connection.
  for await (const chunk of response.body ?? []) {
    if (response.status !== 200) break;
    bytes += chunk.byteLength;
    if (bytes > MAX_BYTES) throw new Error(`the key set has more than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  if (response.status !== 200) throw new Error(`the key set is answered with status ${response.status}`);
  return Buffer.concat(chunks).toString("utf8");
}

/** Throws if the text is not a key set. Of its keys, those that cannot be used are passed over. */
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
      // Other errors are those of a single key that fits and is broken.
      if (error instanceof errors.JWKSMultipleMatchingKeys) for await (const key of error) several.push(key);
      return several;
    }
  }
  return { fitting, text };
}

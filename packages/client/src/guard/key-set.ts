import {
  type CryptoKey,
  createLocalJWKSet,
  errors,
  type JSONWebKeySet,
  type JWK,
  type JWTHeaderParameters,
} from "jose";
import { createHttpClient, type HttpClient } from "../http.ts";

/** The keys of an issuer (RFC 7517). */
export interface KeySet {
  /** The keys that may have signed a token with this header. Rejects if the set cannot be fetched. */
  keysFor(header: JWTHeaderParameters): Promise<CryptoKey[]>;
  /** A value that changes with the keys. Undefined while no set is good. Fetches a new set in the background if it is old. */
  edition(): object | undefined;
}

/** The age at which a set is fetched again, so that a withdrawn key is soon refused, milliseconds. */
const REFRESH_MS = 60_000;
/** The age up to which it is used if that fails. */
const GOOD_MS = 600_000;
/** The pause before it is fetched again for an unknown key. */
const UNKNOWN_KEY_MS = 30_000;
/** The pause after a failure. It doubles with each further one. */
const FAILED_MS = 1_000;
const LONGEST_FAILED_MS = 60_000;
const TIMEOUT_MS = 5_000;
const MAX_BYTES = 1024 * 1024;
const MAX_KEYS = 100;

type Find = ReturnType<typeof createLocalJWKSet>;

/** A set of keys that does not change. */
export function fixedKeySet(keys: JSONWebKeySet): KeySet {
  const find = createLocalJWKSet(keys);
  return { keysFor: (header) => fitting(find, header), edition: () => find };
}

/** A set of keys at an address. It is fetched at first use, and then once a minute while it is used. */
export function fetchedKeySet(address: string, signal: AbortSignal): KeySet {
  const http = createHttpClient(new URL(address).protocol);
  signal.addEventListener("abort", http.close, { once: true });
  let current: { text: string; find: Find; at: number } | undefined;
  let fetching: Promise<void> | undefined;
  let triedAt = Number.NEGATIVE_INFINITY;
  let failures = 0;
  let failure: unknown;

  const isWithin = (ms: number, since: number) => performance.now() - since < ms;
  const good = () => (current && isWithin(GOOD_MS, current.at) ? current : undefined);
  const isPaused = () =>
    failures > 0 && isWithin(Math.min(FAILED_MS * 2 ** (failures - 1), LONGEST_FAILED_MS), triedAt);

  /** Concurrent calls share one request. It does not reject. */
  function fetchAgain(): Promise<void> {
    fetching ??= (async () => {
      triedAt = performance.now();
      try {
        const text = await textAt(address, http, signal);
        const find = text === current?.text ? current.find : createLocalJWKSet(usableKeys(text));
        current = { text, find, at: performance.now() };
        failures = 0;
      } catch (error) {
        failures++;
        failure = error;
      } finally {
        fetching = undefined;
      }
    })();
    return fetching;
  }

  return {
    async keysFor(header) {
      if (!good() && !isPaused()) await fetchAgain();
      const first = good();
      const keys = first ? await fitting(first.find, header) : [];
      if (keys.length > 0) return keys;
      // The key may be a new one.
      if (!isPaused() && !isWithin(UNKNOWN_KEY_MS, triedAt)) await fetchAgain();
      const second = good();
      if (failures > 0 || !second) throw new Error("the keys of the issuer cannot be fetched", { cause: failure });
      return fitting(second.find, header);
    },
    edition() {
      const known = good();
      if (known && !isWithin(REFRESH_MS, Math.max(known.at, triedAt)) && !isPaused()) void fetchAgain();
      return known?.find;
    },
  };
}

async function textAt(address: string, http: HttpClient, signal: AbortSignal): Promise<string> {
  const header = new Headers({ accept: "application/json, application/jwk-set+json" });
  const stop = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  const { status, body } = await http.send({ method: "GET", url: address, header, body: none(), signal: stop });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop closes the connection.
  for await (const chunk of body) {
    bytes += chunk.length;
    if (status !== 200) throw new Error(`the address of the keys answers with status ${status}`);
    if (bytes > MAX_BYTES) throw new Error(`the set of keys has more than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  if (status !== 200) throw new Error(`the address of the keys answers with status ${status}`);
  return Buffer.concat(chunks).toString("utf8");
}

async function* none(): AsyncIterable<Uint8Array> {}

function usableKeys(text: string): JSONWebKeySet {
  const { keys } = (JSON.parse(text) ?? {}) as { keys?: unknown };
  if (!Array.isArray(keys)) throw new Error("the set of keys has no array of keys");
  if (keys.length > MAX_KEYS) throw new Error(`the set of keys has more than ${MAX_KEYS} keys`);
  return { keys: keys.filter((key): key is JWK => typeof key === "object" && key !== null && !Array.isArray(key)) };
}

async function fitting(find: Find, header: JWTHeaderParameters): Promise<CryptoKey[]> {
  try {
    return [await find(header)];
  } catch (error) {
    const several: CryptoKey[] = [];
    if (error instanceof errors.JWKSMultipleMatchingKeys) for await (const key of error) several.push(key);
    return several;
  }
}

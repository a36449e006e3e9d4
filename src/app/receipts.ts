import type { Principal } from "../domain/access.ts";
import { DomainError } from "../domain/errors.ts";
import type { EventStore, Receipt } from "../store/port.ts";

/** How long answers are kept, microseconds: 24 hours. */
const LIFETIME = 24 * 3_600 * 1_000_000;

/** Encryption with the instance's key, because a request may have a password and an answer a token. */
interface Sealer {
  /** A keyed hash: equal for equal parts. */
  digest(...parts: readonly (string | Uint8Array)[]): string;
  seal(plain: Uint8Array, context: string): Uint8Array;
  /** Throws unless it was sealed in this context with this key. */
  unseal(sealed: Uint8Array, context: string): Uint8Array;
}

/** A call with an Idempotency-Key. */
interface RepeatableCall {
  principal: Principal;
  idempotencyKey: string;
  method: string;
  /** The request, in a stable encoding. */
  request: Uint8Array;
}

/** The answers of one repeatable call. */
export interface CallReceipts {
  /** Loads the first answer, if any. Rejects with IDEMPOTENCY_KEY_REUSED if the request was different. */
  find(): Promise<Uint8Array | undefined>;
  /** The receipt to store with the change that the answer describes. */
  of(answer: Uint8Array): Receipt;
  /** Stores an answer that comes with no change. Resolves with false if there is one already. */
  keep(answer: Uint8Array): Promise<boolean>;
  /** The receipts of an independent part of the call, such as one user of many. */
  part(name: string): CallReceipts;
}

export type ReceiptsOf = ReturnType<typeof createReceipts>;

/**
 * Keeps answers for 24 hours, encrypted, under a key that includes the caller: callers with the same Idempotency-Key
 * never see each other's answers. Errors are not kept, because a repeated call tries again.
 */
export function createReceipts(parts: { store: EventStore; sealer: Sealer; clock: () => number }) {
  const { store, sealer, clock } = parts;

  function receiptsUnder(key: string, fingerprint: string): CallReceipts {
    const of = (answer: Uint8Array): Receipt => ({
      key,
      fingerprint,
      answer: sealer.seal(answer, key),
      expires: clock() + LIFETIME,
    });
    return {
      of,
      async find() {
        const receipt = await store.loadReceipt(key, clock());
        if (!receipt) return undefined;
        if (receipt.fingerprint !== fingerprint) {
          throw new DomainError(
            "IDEMPOTENCY_KEY_REUSED",
            "Another request used this Idempotency-Key. Use a new key for each request.",
          );
        }
        return sealer.unseal(receipt.answer, key);
      },
      keep: (answer) => store.keep(of(answer), clock()),
      part: (name) => receiptsUnder(sealer.digest("part", key, name), fingerprint),
    };
  }

  return ({ principal, idempotencyKey, method, request }: RepeatableCall) =>
    receiptsUnder(
      sealer.digest("call", ...callerOf(principal), idempotencyKey),
      sealer.digest("request", method, request),
    );
}

/** Callers are distinguished by token. All JWTs of a subject count as one, because they are short-lived. */
function callerOf({ subject, tokenId, session }: Principal): [subject: string, means: string, id: string] {
  if (session) return [subject, "session", session.id];
  return tokenId === undefined ? [subject, "JWT", ""] : [subject, "token", tokenId];
}

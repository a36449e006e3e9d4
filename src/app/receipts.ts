import type { Principal } from "../domain/access.ts";
import { DomainError } from "../domain/errors.ts";
import type { EventStore, Receipt } from "../store/port.ts";

/** How long an answer is given again, microseconds: 24 hours. */
const LIFETIME = 24 * 3_600 * 1_000_000;

/** Secrets with a key that is not in the store, for a request may have a password and an answer a token. */
interface Sealer {
  /** The same for the same parts. */
  digest(...parts: readonly (string | Uint8Array)[]): string;
  seal(plain: Uint8Array, context: string): Uint8Array;
  /** Throws unless it was sealed in this context with this key. */
  unseal(sealed: Uint8Array, context: string): Uint8Array;
}

/** A call that may come again, under the key that its caller gave it. */
interface RepeatableCall {
  principal: Principal;
  idempotencyKey: string;
  method: string;
  /** The request, encoded in the same way each time. */
  request: Uint8Array;
}

/** The answers of one repeatable call. */
export interface CallReceipts {
  /** The first answer, if there was one. Rejects with IDEMPOTENCY_KEY_REUSED if the request was another one. */
  find(): Promise<Uint8Array | undefined>;
  /** What is to be stored with the change that the answer tells of. */
  of(answer: Uint8Array): Receipt;
  /** Keeps an answer with which no change goes. Resolves with false if there is one already. */
  keep(answer: Uint8Array): Promise<boolean>;
  /** Those of a part of the call that is made or not by itself, such as of one user among many. */
  part(name: string): CallReceipts;
}

export type ReceiptsOf = ReturnType<typeof createReceipts>;

/**
 * Answers are kept for 24 hours, sealed, under a key of the caller's own: of two callers with the same Idempotency-Key
 * neither sees the other's answers. Errors change nothing and are not kept: a repeated call is tried again.
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
            "Another request came with this Idempotency-Key: each request needs a key of its own.",
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

/** Callers differ by their token. All JWTs of a subject are one caller's, because each lives briefly. */
function callerOf({ subject, tokenId, session }: Principal): [subject: string, means: string, id: string] {
  if (session) return [subject, "session", session.id];
  return tokenId === undefined ? [subject, "JWT", ""] : [subject, "token", tokenId];
}

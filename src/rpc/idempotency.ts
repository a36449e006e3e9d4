import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import type { Change, Stored } from "../app/execute.ts";
import type { CallReceipts } from "../app/receipts.ts";
import type { Permission } from "../domain/access.ts";
import { invalidField } from "../domain/errors.ts";

/** Extra context of a handler for a call with an Idempotency-Key. Empty for any other call. */
export interface Repeatable<Output extends MessageInitShape<DescMethodUnary["output"]>> {
  /** Makes the receipt that `execute` stores with the change, from the answer to the change. */
  receiptFor?: <State>(toAnswer: (stored: Stored<State>) => Output) => Change<never, State>["receipt"];
  /** The receipts, for a call that consists of parts. */
  receipts?: CallReceipts;
  /** Prevents storing the whole answer, because parts of it may succeed later. */
  leaveOpen?(): void;
}

/**
 * Whether a method changes anything, so that an Idempotency-Key has a meaning. Methods that GET can call declare that
 * they do not. Methods with secrets must not be called by GET, so their permission decides.
 */
export function isChanging({ idempotency }: Pick<DescMethod, "idempotency">, permission: Permission): boolean {
  return idempotency !== MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS && !permission.endsWith(".read");
}

/** Throws INVALID_REQUEST for an invalid key. Quotes are part of a key. */
export function checkIdempotencyKey(key: string): void {
  if (!/^[!-~]([ -~]{0,253}[!-~])?$/.test(key)) {
    throw invalidField("Idempotency-Key", "must be 1 to 255 printable ASCII characters");
  }
}

/**
 * Runs a call, or returns its stored answer after `check`, which rejects if that is no longer valid. If the change did
 * not store the answer, as when nothing changed, stores it after the call.
 */
export async function answerOnce<Desc extends DescMessage>(
  output: Desc,
  receipts: CallReceipts,
  run: (repeatable: Repeatable<MessageInitShape<Desc>>) => Promise<MessageShape<Desc>>,
  check: (first: MessageShape<Desc>) => Promise<void>,
): Promise<MessageShape<Desc>> {
  const find = async () => {
    const bytes = await receipts.find();
    return bytes && fromBinary(output, bytes);
  };
  const again = async (first: MessageShape<Desc>) => {
    await check(first);
    return first;
  };
  const before = await find();
  if (before) return again(before);

  /** Whether the answer is stored already, or must not be. */
  let isDone = false;
  let answer: MessageShape<Desc>;
  try {
    answer = await run({
      receipts,
      receiptFor: (toAnswer) => ({
        of: (stored) => receipts.of(toBinary(output, create(output, toAnswer(stored)))),
        onKept() {
          isDone = true;
        },
      }),
      leaveOpen() {
        isDone = true;
      },
    });
  } catch (error) {
    // The call may have failed because the same call succeeded meanwhile.
    const meanwhile = await find().catch(() => undefined);
    if (meanwhile) return again(meanwhile);
    throw error;
  }
  if (isDone || (await receipts.keep(toBinary(output, answer)))) return answer;
  const kept = await find();
  return kept ? again(kept) : answer;
}

import {
  create,
  type DescMessage,
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

/** What a handler has for a call that may come again; nothing for any other call. */
export interface Repeatable<Output extends MessageInitShape<DescMethodUnary["output"]>> {
  /** From the answer to the receipt that `execute` stores with the change which the answer tells of. */
  receiptFor?: <State>(toAnswer: (stored: Stored<State>) => Output) => Change<never, State>["receipt"];
  /** For a call that is made of parts. */
  receipts?: CallReceipts;
  /** Keeps the answer as a whole from being given again: parts of it may go better then. */
  leaveOpen?(): void;
}

/**
 * Whether a method changes anything, so that an Idempotency-Key means something. Those that may be called by GET say
 * that they do not; those that must not, for their secrets would be in URLs, are known by their permission.
 */
export function isChanging({ idempotency }: Pick<DescMethodUnary, "idempotency">, permission: Permission): boolean {
  return idempotency !== MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS && !permission.endsWith(".read");
}

/** Throws INVALID_REQUEST for an invalid key. A key is opaque: the quotes of a structured field are part of it. */
export function checkIdempotencyKey(key: string): void {
  if (!/^[!-~]([ -~]{0,253}[!-~])?$/.test(key)) {
    throw invalidField("Idempotency-Key", "must be 1 to 255 printable ASCII characters");
  }
}

/**
 * Runs a call, unless it has come before: then its first answer is given again. Where the change and the answer could
 * not be stored together, as of a call that changes nothing, the answer is kept once it is there. Before a first answer
 * is given again, `check` rejects if it is not good any more.
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

  /** Whether the answer is kept already, or is not to be. */
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
    // Perhaps only because the same call came through meanwhile, and made what this one finds made already.
    const meanwhile = await find().catch(() => undefined);
    if (meanwhile) return again(meanwhile);
    throw error;
  }
  if (isDone || (await receipts.keep(toBinary(output, answer)))) return answer;
  const kept = await find();
  return kept ? again(kept) : answer;
}

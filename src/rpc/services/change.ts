import type { DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import type { Change, Execute, Stored } from "../../app/execute.ts";
import type { Aggregate, DomainEvent } from "../../domain/aggregate.ts";
import type { EnteredCaller } from "../handler.ts";
import type { Repeatable } from "../idempotency.ts";

type Message = MessageInitShape<DescMethodUnary["output"]>;

/** Executes a change with the method's permission, and stores its answer if the call has an Idempotency-Key. */
export async function answerChange<State, Command, Event extends DomainEvent, Output extends Message>(
  execute: Execute,
  aggregate: Aggregate<State, Command, Event>,
  change: Omit<Change<Command, State>, "permission" | "receipt">,
  caller: EnteredCaller & Pick<Repeatable<Output>, "receiptFor">,
  toAnswer: (stored: Stored<State>) => Output,
): Promise<Output> {
  const { permission, receiptFor } = caller;
  return toAnswer(await execute(aggregate, { ...change, permission, receipt: receiptFor?.(toAnswer) }, caller));
}

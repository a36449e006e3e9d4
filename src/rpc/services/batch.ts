import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type BatchLockUsersRequest,
  type BatchResultSchema,
  type BatchUnlockUsersRequest,
  DetailsSchema,
  type LockUserRequest,
  type UserService,
} from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import type { Batch, BatchChange, Outcome } from "../../app/batch.ts";
import type { Stored } from "../../app/execute.ts";
import { DomainError } from "../../domain/errors.ts";
import type { User } from "../../domain/user-state.ts";
import { fromFilters } from "../convert/filters.ts";
import { fromDuration, fromOrganization, fromTimestamp, toDetails } from "../convert/messages.ts";
import { inBrief, type RpcError, toRpcError } from "../errors.ts";
import type { Handler, Implementation } from "../handler.ts";

const DEFAULT_REASON = "manual";
/** The default number of users of a page. */
const DEFAULT_LIMIT = 1_000;
/** With more errors than this each has only its ErrorInfo, because gRPC clients accept 4 MiB by default. */
const MAX_DETAILED_ERRORS = 1_000;

/** The lock command of a request. */
export function fromLock({ reason, note, end, replace }: Pick<LockUserRequest, "reason" | "note" | "end" | "replace">) {
  return {
    type: "lock" as const,
    reason: reason || DEFAULT_REASON,
    note,
    ...(replace && { isReplacing: true }),
    ...(end.case === "until" && { until: fromTimestamp(end.value) }),
    ...(end.case === "duration" && { duration: fromDuration(end.value) }),
  };
}

type Result = MessageInitShape<typeof BatchResultSchema>;

/** The methods of UserService that change many users. */
export function batchMethods(parts: {
  batch: Batch;
  /** Called with the error of each user that failed. */
  onUserError(error: RpcError, requestId: string): void;
}): Pick<Implementation<typeof UserService>, "batchLockUsers" | "batchUnlockUsers"> {
  const { batch, onUserError } = parts;

  function changing<Request extends BatchLockUsersRequest | BatchUnlockUsersRequest>(
    toCommand: (request: Request) => BatchChange["command"],
  ) {
    return async (request: Request, caller: Parameters<Handler>[1]) => {
      const filters = fromFilters(request.filters);
      const change = {
        command: toCommand(request),
        permission: caller.permission,
        organization: fromOrganization(request.organization),
        isDryRun: request.dryRun,
        ...(caller.receipts && { repeatable: { receipts: caller.receipts, toAnswer } }),
      };
      const which = { filters, after: request.cursor, limit: request.limit || DEFAULT_LIMIT };
      const { outcomes, next } =
        request.ids.length > 0
          ? { outcomes: await batch.ids(change, request.ids, caller), next: undefined }
          : await batch.page(change, which, caller);
      const results = toResults(outcomes, caller.actor.requestId ?? "");
      if (outcomes.some(mayGoBetter)) caller.leaveOpen?.();
      return { results, nextCursor: next ?? "" };
    };
  }

  function toResults(outcomes: Outcome[], requestId: string): Result[] {
    const isBrief = outcomes.filter((outcome) => "error" in outcome).length > MAX_DETAILED_ERRORS;
    return outcomes.map((outcome) => {
      const { id } = outcome;
      if ("stored" in outcome) return done(id, toDetails(outcome.stored));
      if ("answer" in outcome) return done(id, fromBinary(DetailsSchema, outcome.answer));
      const error = toRpcError(outcome.error, requestId);
      onUserError(error, requestId);
      const { code, message, packedDetails: details } = isBrief ? inBrief(error) : error;
      return { id, outcome: { case: "error", value: { code, message, details } } } satisfies Result;
    });
  }

  return {
    batchLockUsers: changing((request: BatchLockUsersRequest) => fromLock(request)),
    batchUnlockUsers: changing(() => ({ type: "unlock" })),
  };
}

/** Whether a retry of the call may have another outcome for the user. */
function mayGoBetter(outcome: Outcome): boolean {
  if (!("error" in outcome)) return false;
  const { error } = outcome;
  return !(error instanceof DomainError) || error.kind === "aborted" || error.kind === "unavailable";
}

function done(id: string, details: MessageInitShape<typeof DetailsSchema>): Result {
  return { id, outcome: { case: "details", value: details } };
}

function toAnswer(stored: Stored<User>): Uint8Array {
  return toBinary(DetailsSchema, create(DetailsSchema, toDetails(stored)));
}

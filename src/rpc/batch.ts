import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  BatchLockUsersRequest,
  BatchResultSchema,
  BatchUnlockUsersRequest,
  LockUserRequest,
  UserService,
} from "../../gen/userlock/v3alpha/user_service_pb.ts";
import type { Batch, BatchChange, Outcome } from "../app/batch.ts";
import { fromDuration, fromOrganization, fromTimestamp, toDetails } from "./convert.ts";
import { type RpcError, toReason, toRpcError } from "./errors.ts";
import { fromFilters } from "./filters.ts";
import type { Handler, Implementation } from "./invoke.ts";

const DEFAULT_REASON = "manual";
/** Users of a page, where the request does not say. */
const DEFAULT_LIMIT = 1_000;
/** With more errors than this each has its ErrorInfo alone, for gRPC clients take no more than 4 MiB unless told. */
const MAX_DETAILED_ERRORS = 1_000;

/** The lock that a request asks for. */
export function fromLock({ reason, note, end }: Pick<LockUserRequest, "reason" | "note" | "end">) {
  return {
    type: "lock" as const,
    reason: reason || DEFAULT_REASON,
    note,
    ...(end.case === "until" && { until: fromTimestamp(end.value) }),
    ...(end.case === "duration" && { duration: fromDuration(end.value) }),
  };
}

/** The methods of UserService that change many users. */
export function batchMethods(parts: {
  batch: Batch;
  /** Told of the errors that users are given. */
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
      };
      const requestId = caller.actor.requestId ?? "";
      if (request.ids.length > 0) return { results: results(await batch.ids(change, request.ids, caller), requestId) };
      const which = { filters, after: request.cursor, limit: request.limit || DEFAULT_LIMIT };
      const { outcomes, next } = await batch.page(change, which, caller);
      return { results: results(outcomes, requestId), nextCursor: next ?? "" };
    };
  }

  function results(outcomes: Outcome[], requestId: string): MessageInitShape<typeof BatchResultSchema>[] {
    const isBrief = outcomes.filter((outcome) => "error" in outcome).length > MAX_DETAILED_ERRORS;
    return outcomes.map((outcome) => {
      const { id } = outcome;
      if ("stored" in outcome) return { id, outcome: { case: "details", value: toDetails(outcome.stored) } };
      const error = toRpcError(outcome.error, requestId);
      onUserError(error, requestId);
      const { code, message, packedDetails: details } = isBrief ? toReason(error) : error;
      return { id, outcome: { case: "error", value: { code, message, details } } };
    });
  }

  return {
    batchLockUsers: changing((request: BatchLockUsersRequest) => fromLock(request)),
    batchUnlockUsers: changing(() => ({ type: "unlock" })),
  };
}

import { randomUUID } from "node:crypto";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import type { Status } from "../../../gen/google/rpc/status_pb.ts";
import type { BatchResult, SearchFilter, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { retry } from "../../retry.ts";
import { explain } from "../client.ts";
import type { Job } from "./options.ts";
import { usersOf } from "./progress.ts";

/** How long to retry, milliseconds. Shorter before the first answer: the address may be wrong. */
export const FIRST_PATIENCE_MS = 5_000;
export const PATIENCE_MS = 60_000;
const FIRST_WAIT_MS = 250;
const LAST_WAIT_MS = 8_000;

/** The users of one page. */
export type PageRequest = { ids: string[] } | { filters: SearchFilter[]; cursor: string; limit: number };

interface PageAnswer {
  results: BatchResult[];
  nextCursor: string;
}

export interface Patience {
  /** Aborts the retries. */
  stop: AbortSignal;
  /** Called with the reason when retries begin. */
  onWait(why: string): void;
  /** Called after each answered call. */
  onAnswer?(): void;
  /** How long to retry one call. */
  milliseconds: number;
}

/** Some users of a page have no final answer: they are unchanged, or in an unknown state. */
export class UsersLeft extends Error {
  /** The reason of one of them. */
  readonly reason: string;

  constructor(message: string, { outcome }: BatchResult) {
    super(message);
    this.reason = outcome.case === "error" ? reasonOf(outcome.value) : "";
  }
}

/**
 * Sends one page until each user has a final answer. Retries while the server restarts or the store is unavailable. Each
 * call has its own idempotency key. Rejects with the refusal of the call, or with UsersLeft.
 */
export async function callPage(
  client: Client<typeof UserService>,
  job: Job,
  page: PageRequest,
  key: string,
  patience: Patience,
): Promise<PageAnswer> {
  const call = (request: PageRequest, itsKey: string) => {
    const options = { headers: { "idempotency-key": itsKey } };
    const { organization, dryRun, ...lock } = job.request;
    const what = { ...request, ...(organization && { organization }), dryRun };
    return withPatience<PageAnswer>(
      () =>
        job.action === "lock"
          ? client.batchLockUsers({ ...what, ...lock }, options)
          : client.batchUnlockUsers(what, options),
      patience,
    );
  };

  const { results, nextCursor } = await call(page, key);
  const places = new Map(results.map(({ id }, place) => [id, place]));
  const settle = async (attempt: number) => {
    if (attempt > 1) {
      const ids = results.filter(isPassing).map(({ id }) => id);
      const { results: later } = await call({ ids }, `${key}-${randomUUID()}`);
      for (const result of later) results[places.get(result.id) as number] = result;
    }
    const left = results.filter(isPassing);
    if (left[0]) throw new UsersLeft(`${usersOf(left.length)} could not be reached`, left[0]);
  };
  const mayPass = (error: unknown) => error instanceof UsersLeft;
  await retry(settle, { ...optionsOf(patience, (error) => (error as Error).message), mayPass });
  return { results, nextCursor };
}

/** The reason of an error in an answer. Without a reason, the name of its code. */
export function reasonOf({ code, details }: Status): string {
  const infos = details.map((detail) => anyUnpack(detail, ErrorInfoSchema));
  return infos.find((info) => info !== undefined)?.reason ?? Code[code]?.toUpperCase() ?? String(code);
}

function isPassing({ outcome }: BatchResult): boolean {
  if (outcome.case !== "error") return false;
  const code = outcome.value.code as Code;
  return code === Code.Unavailable || code === Code.Aborted;
}

/** Retries the work while its errors may be temporary. */
export async function withPatience<Result>(work: () => Promise<Result>, patience: Patience): Promise<Result> {
  const result = await retry(work, { ...optionsOf(patience, (error) => explain(error).message), mayPass });
  patience.onAnswer?.();
  return result;
}

function optionsOf({ stop, onWait, milliseconds }: Patience, why: (error: unknown) => string) {
  const onFailure = (error: unknown, attempt: number) => {
    if (attempt === 1) onWait(why(error));
  };
  return { signal: stop, patienceMs: milliseconds, firstMs: FIRST_WAIT_MS, longestMs: LAST_WAIT_MS, onFailure };
}

/** Whether the call may succeed when it is made again. */
export function mayPass(error: unknown): boolean {
  const { code, cause } = ConnectError.from(error);
  const [info] = ConnectError.from(error).findDetails(ErrorInfoSchema);
  // Without a reason the error is not from userlock: the connection was refused or lost.
  if (!info) return code === Code.Unavailable || (cause !== undefined && code !== Code.Internal);
  return code === Code.Unavailable || code === Code.DeadlineExceeded || info.reason === "TOO_MANY_REQUESTS";
}

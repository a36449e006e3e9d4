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

/**
 * How long it is tried again while the server does not answer, milliseconds. Before it has answered at all, the address
 * may be the mistake.
 */
export const FIRST_PATIENCE_MS = 5_000;
export const PATIENCE_MS = 60_000;
const FIRST_WAIT_MS = 250;
const LAST_WAIT_MS = 8_000;

/** What a page asks for beside what the job does. */
export type PageRequest = { ids: string[] } | { filters: SearchFilter[]; cursor: string; limit: number };

interface PageAnswer {
  results: BatchResult[];
  nextCursor: string;
}

export interface Patience {
  /** Ends the waiting. */
  stop: AbortSignal;
  /** Told why it has to wait, once each time. */
  onWait(why: string): void;
  /** Told of each call that the server has answered. */
  onAnswer?(): void;
  /** How long it waits for the same thing. */
  milliseconds: number;
}

/** Users of a page had no final answer when the patience ended: they are unchanged, or in an unknown state. */
export class UsersLeft extends Error {
  /** Of one of them. */
  readonly reason: string;

  constructor(message: string, { outcome }: BatchResult) {
    super(message);
    this.reason = outcome.case === "error" ? reasonOf(outcome.value) : "";
  }
}

/**
 * One page, until each of its users has a final answer: a server that restarts, or a store that is gone for a moment, is
 * waited for. Each call has a key of its own, so that a server does not do it twice. Rejects with the refusal of the call,
 * or with UsersLeft.
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

/** The reason of an error in an answer, its code where it has none. */
export function reasonOf({ code, details }: Status): string {
  const infos = details.map((detail) => anyUnpack(detail, ErrorInfoSchema));
  return infos.find((info) => info !== undefined)?.reason ?? Code[code]?.toUpperCase() ?? String(code);
}

function isPassing({ outcome }: BatchResult): boolean {
  if (outcome.case !== "error") return false;
  const code = outcome.value.code as Code;
  return code === Code.Unavailable || code === Code.Aborted;
}

/** Does it again while it fails by what passes by itself. */
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
  // Without one it was not the server that said so: the connection was refused or lost.
  if (!info) return code === Code.Unavailable || (cause !== undefined && code !== Code.Internal);
  return code === Code.Unavailable || code === Code.DeadlineExceeded || info.reason === "TOO_MANY_REQUESTS";
}

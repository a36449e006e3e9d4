import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import type { Status } from "../../gen/google/rpc/status_pb.ts";
import type { BatchResult, SearchFilter, UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import type { Job } from "./bulk-options.ts";
import { explain } from "./client.ts";

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

export interface Answer {
  results: BatchResult[];
  nextCursor: string;
}

export interface Patience {
  /** Ends the waiting. */
  stop: AbortSignal;
  /** Told why it has to wait, once each time. */
  onWait(why: string): void;
  milliseconds: number;
}

/**
 * One page, until each of its users has an answer that is his: what passes by itself, such as a server that restarts or
 * a store that is gone for a moment, is waited for, a minute at most. Each call has a key of its own, so that a server
 * that has done it already can say so. Rejects with what the call was refused with.
 */
export async function callPage(
  client: Client<typeof UserService>,
  job: Job,
  page: PageRequest,
  key: string,
  patience: Patience,
): Promise<Answer> {
  const call = (request: PageRequest, itsKey: string) => {
    const options = { headers: { "idempotency-key": itsKey } };
    const { organization, dryRun, ...lock } = job.request;
    const what = { ...request, ...(organization && { organization }), dryRun };
    return withPatience<Answer>(
      () =>
        job.action === "lock"
          ? client.batchLockUsers({ ...what, ...lock }, options)
          : client.batchUnlockUsers(what, options),
      patience,
    );
  };

  const { results, nextCursor } = await call(page, key);
  const places = new Map(results.map(({ id }, place) => [id, place]));
  let wait = FIRST_WAIT_MS;
  while (wait <= LAST_WAIT_MS && !patience.stop.aborted) {
    const again = results.filter(isPassing).map(({ id }) => id);
    if (again.length === 0) break;
    patience.onWait(`${again.length} users could not be reached`);
    await sleep(wait, undefined, { signal: patience.stop }).catch(() => {});
    const { results: later } = await call({ ids: again }, `${key}-${randomUUID()}`);
    for (const result of later) results[places.get(result.id) as number] = result;
    wait *= 2;
  }
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
export async function withPatience<Result>(
  work: () => Promise<Result>,
  { stop, onWait, milliseconds }: Patience,
): Promise<Result> {
  let end: number | undefined;
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LAST_WAIT_MS)) {
    try {
      return await work();
    } catch (error) {
      const isFirst = end === undefined;
      end ??= performance.now() + milliseconds;
      if (!mayPass(error) || performance.now() + wait > end || stop.aborted) throw error;
      if (isFirst) onWait(explain(error).message);
      // Not all who wait come back at the same moment.
      await sleep(wait * (0.5 + Math.random() / 2), undefined, { signal: stop }).catch(() => {});
      if (stop.aborted) throw error;
    }
  }
}

function mayPass(error: unknown): boolean {
  const { code, cause } = ConnectError.from(error);
  const [info] = ConnectError.from(error).findDetails(ErrorInfoSchema);
  // Without one it was not the server that said so: the connection was refused or lost.
  if (!info) return code === Code.Unavailable || (cause !== undefined && code !== Code.Internal);
  return code === Code.Unavailable || code === Code.DeadlineExceeded || info.reason === "TOO_MANY_REQUESTS";
}

import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { GetUser } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { users } from "../core/api.ts";
import { pathTo } from "../core/router.ts";
import { formatNumber, texts } from "../i18n/messages.ts";
import { Failure } from "../parts/failure.tsx";
import { causeOf } from "../parts/state.tsx";
import { now, When } from "../parts/time.tsx";
import { UserLink } from "../parts/user-link.tsx";
import { useLoaded } from "./loaded.ts";

const SHOWN = 8;
const READ = 100;
/** A search cannot sort by the end of a lock. So a shorter time is asked if more locks than can be read end in a longer one. */
const WITHIN_MS = [3_600_000, 600_000, 120_000];

const CHANGES = ["user.locked", "user.unlocked", "user.deleted"];

/** The locks that end next, within an hour. */
export function EndingLocks() {
  const { overview: t, common } = texts.value;
  const { value, failure, reload } = useLoaded(readEnding, { types: CHANGES, paceMs: 2_000 });
  // A lock ends by itself, and the event of it comes a moment later.
  const next = value.value?.users.filter(({ lock }) => lock?.until && timestampMs(lock.until) > now.value);
  return (
    <section class="card" aria-labelledby="ending-title">
      <div class="line">
        <h2 id="ending-title">{t.ending}</h2>
        {value.value && value.value.total > 0 && (
          <a href={`${pathTo("users")}?${new URLSearchParams({ soon: "1" })}`}>
            {t.allEnding(formatNumber(value.value.total))}
          </a>
        )}
      </div>
      {failure.value !== undefined && <Failure error={failure.value} onRetry={reload} />}
      {!next && failure.value === undefined && <p>{common.loading}</p>}
      {next?.length === 0 && <p>{t.noEnding}</p>}
      {next && (
        <ul class="rows">
          {next.slice(0, SHOWN).map((user) => (
            <li key={user.details?.id}>
              <UserLink id={user.details?.id ?? ""} />
              <small>
                {user.lock && causeOf(user.lock)} · <When at={user.lock?.until} />
              </small>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

const endOf = ({ lock }: GetUser) => (lock?.until ? timestampMs(lock.until) : 0);

/** Users whose locks end within an hour, the next one first, and how many there are. */
async function readEnding(signal: AbortSignal): Promise<{ users: GetUser[]; total: number }> {
  let total: number | undefined;
  for (const [index, within] of WITHIN_MS.entries()) {
    const value = { untilBefore: timestampFromMs(Date.now() + within) };
    const { result, details } = await users.searchUsers(
      { filters: [{ filter: { case: "lockFilter", value } }], query: { limit: READ } },
      { signal },
    );
    const found = Number(details?.totalResult ?? 0);
    total ??= found;
    const isLast = found <= result.length || index === WITHIN_MS.length - 1;
    if (isLast) return { users: [...result].sort((a, b) => endOf(a) - endOf(b)), total };
  }
  return { users: [], total: 0 };
}

import { events as eventService } from "../core/api.ts";
import { pathTo } from "../core/router.ts";
import { texts } from "../i18n/messages.ts";
import { titleOfType } from "../parts/event.tsx";
import { Failure } from "../parts/failure.tsx";
import { LockLine } from "../parts/state.tsx";
import { SubjectLink } from "../parts/subject-link.tsx";
import { When } from "../parts/time.tsx";
import { UserLink } from "../parts/user-link.tsx";
import { LOCK_TYPES, lastLocks, type PastLock } from "./last-locks.ts";
import { useLoaded } from "./loaded.ts";

const SHOWN = 8;
/** Enough for those that are shown, if most users were unlocked again. */
const READ = 100;

/** The last locks, live, and which of them have ended. */
export function LastLocks() {
  const { overview: t, common } = texts.value;
  const { value, failure, reload } = useLoaded(
    async (signal) => {
      const { events } = await eventService.listEvents({ types: LOCK_TYPES, limit: READ }, { signal });
      return lastLocks(events, SHOWN);
    },
    { types: LOCK_TYPES, paceMs: 500 },
  );
  return (
    <section class="card wide" aria-labelledby="last-title">
      <div class="line">
        <h2 id="last-title">{t.lastLocks}</h2>
        <a href={`${pathTo("log")}?${new URLSearchParams({ type: "user.locked" })}`}>{t.inLog}</a>
      </div>
      {failure.value !== undefined && <Failure error={failure.value} onRetry={reload} />}
      {!value.value && failure.value === undefined && <p>{common.loading}</p>}
      {value.value?.length === 0 && <p>{t.noLocks}</p>}
      {value.value && value.value.length > 0 && (
        <div class="table">
          <table>
            <caption class="hidden">{t.lastLocks}</caption>
            <thead>
              <tr>
                <th scope="col">{t.user}</th>
                <th scope="col">{t.lock}</th>
                <th scope="col">{t.by}</th>
                <th scope="col">{t.when}</th>
              </tr>
            </thead>
            <tbody>
              {value.value.map((one) => (
                <Row key={one.event.cursor} lock={one} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Row({ lock: { event, end } }: { lock: PastLock }) {
  const { overview: t } = texts.value;
  const { userId, actor, time, change } = event;
  const lock = change.case === "lock" ? change.value : undefined;
  return (
    <tr>
      <th scope="row">
        <UserLink id={userId} />
      </th>
      <td data-label={t.lock}>
        <LockLine lock={lock} isEnded={end !== undefined} />
        {end && (
          <small>
            {end.type === "user.locked" ? t.replaced : titleOfType(end.type)} <When at={end.time} />
          </small>
        )}
      </td>
      <td data-label={t.by}>
        {/* userlock itself locks after wrong passwords. The event's caller is then the login page. */}
        {lock && lock.lockedBy !== actor?.subject ? lock.lockedBy : <SubjectLink subject={actor?.subject ?? ""} />}
      </td>
      <td data-label={t.when}>
        <When at={time} />
      </td>
    </tr>
  );
}

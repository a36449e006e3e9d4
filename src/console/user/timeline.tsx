import { useEffect, useMemo } from "preact/hooks";
import { pathTo, setQuery } from "../core/router.ts";
import { texts } from "../i18n/messages.ts";
import { EventChange, titleOfType, toneOfType } from "../parts/event.tsx";
import { Failure } from "../parts/failure.tsx";
import { SubjectLink } from "../parts/subject-link.tsx";
import { Moment, When } from "../parts/time.tsx";
import { EVENT_GROUPS, rowsOf, type TimelineRow, typesOf } from "./events.ts";
import { showHistory } from "./history.ts";

/** What happened to a user, newest first. It grows live. `type` is a group, a type, or "" for all. */
export function Timeline({ userId, type }: { userId: string; type: string }) {
  const { user: t, common } = texts.value;
  const history = useMemo(() => showHistory(userId, typesOf(type)), [userId, type]);
  useEffect(() => {
    void history.load();
    return history.follow();
  }, [history]);

  const events = history.events.value;
  return (
    <section class="card timeline" aria-labelledby="timeline-title">
      <div class="line">
        <h2 id="timeline-title">{t.timeline}</h2>
        <TypeFilter type={type} />
        <a href={`${pathTo("log")}?${new URLSearchParams({ user: userId })}`}>{t.inLog}</a>
      </div>
      <p class="hidden" role="status">
        {history.news.value && titleOfType(history.news.value.type)}
      </p>
      {history.failure.value !== undefined && (
        <Failure error={history.failure.value} onRetry={() => void history.load()} />
      )}
      {events ? (
        <ol>
          {rowsOf(events).map((row) => (
            <Row key={row.oldest.cursor} row={row} userId={userId} />
          ))}
        </ol>
      ) : (
        history.failure.value === undefined && <p>{common.loading}</p>
      )}
      {events?.length === 0 && !history.hasOlder.value && <p>{t.noEvents}</p>}
      {history.hasOlder.value && (
        <button type="button" disabled={history.isLoading.value} onClick={() => void history.loadOlder()}>
          {t.older}
        </button>
      )}
    </section>
  );
}

function TypeFilter({ type }: { type: string }) {
  const { user: t, events } = texts.value;
  return (
    <label>
      <span class="hidden">{t.type}</span>
      <select value={type} onChange={({ currentTarget }) => setQuery({ type: currentTarget.value })}>
        <option value="">{t.allTypes}</option>
        {(Object.keys(EVENT_GROUPS) as (keyof typeof EVENT_GROUPS)[]).map((group) => (
          <optgroup key={group} label={t.groups[group]}>
            <option value={group}>{t.allOf(t.groups[group])}</option>
            {EVENT_GROUPS[group].map((one) => (
              <option key={one} value={one}>
                {events[one]}
              </option>
            ))}
          </optgroup>
        ))}
      </select>
    </label>
  );
}

/** What one call did, or several calls alike. */
function Row({ row: { events, times, oldest }, userId }: { row: TimelineRow; userId: string }) {
  const { user: t } = texts.value;
  const [first] = events;
  if (!first) return null;
  const { actor, address, userAgent, requestId, time } = first;
  return (
    <li>
      <p class="when">
        <Moment at={time} />{" "}
        <small>
          <When at={time} />
        </small>
      </p>
      <ul>
        {events.map((event) => (
          <li key={event.cursor} class={toneOfType(event.type)}>
            <strong>{titleOfType(event.type)}</strong> <EventChange event={event} />
            {times > 1 && (
              <>
                {t.times(times)}{" "}
                <small>
                  {t.sinceWhen} <Moment at={oldest.time} />
                </small>
              </>
            )}
          </li>
        ))}
      </ul>
      <p>
        <small title={requestId === "" ? undefined : `${t.request} ${requestId}`}>
          {t.actor} {actor?.subject === userId ? t.themselves : <SubjectLink subject={actor?.subject ?? ""} />}
          {address !== "" && ` · ${address}`}
          {userAgent !== "" && ` · ${userAgent}`}
        </small>
      </p>
    </li>
  );
}

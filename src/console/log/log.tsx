import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { onEvent, onGap } from "../core/live.ts";
import { address, setQuery } from "../core/router.ts";
import { formatNumber, texts } from "../i18n/messages.ts";
import { Failure } from "../parts/failure.tsx";
import { ExportDialog } from "./export-dialog.tsx";
import { FilterBar } from "./filter-bar.tsx";
import {
  arrive,
  discard,
  failure,
  hasOlder,
  isLoading,
  load,
  loadOlder,
  MOST_WAITING,
  shown,
  showWaiting,
  waiting,
} from "./list.ts";
import { matches, questionOf } from "./question.ts";
import { EventTable } from "./table.tsx";

/** The log: what happened, newest first, filtered, live, and as a file. */
export function LogPage() {
  const { log: t, common } = texts.value;
  const question = useComputed(() => questionOf(address.value));
  const open = useSignal<ReadonlySet<string>>(new Set());
  const isExporting = useSignal(false);
  const top = useRef<HTMLDivElement>(null);
  const asked = JSON.stringify(question.value);
  const reload = () => void load(question.value);

  useEffect(() => {
    open.value = new Set();
    reload();
  }, [asked]);

  useEffect(() => {
    const isReading = () => open.value.size > 0 || (top.current?.getBoundingClientRect().top ?? 0) < 0;
    const forgetEvents = onEvent((event) => {
      if (question.value.isLive && matches(event, question.value)) arrive(event, isReading);
    });
    const forgetGaps = onGap(reload);
    return () => {
      forgetEvents();
      forgetGaps();
      discard();
    };
  }, []);

  function showNew(): void {
    if (waiting.value.length < MOST_WAITING) showWaiting();
    else reload();
    scrollTo(0, 0);
  }

  const events = shown.value;
  const count = waiting.value.length;
  return (
    <>
      <div class="title">
        <h1>{t.title}</h1>
        {events && <p>{t.shown(formatNumber(events.length), hasOlder.value)}</p>}
        <span class="space" />
        <label class="check">
          <input
            type="checkbox"
            checked={question.value.isLive}
            onChange={({ currentTarget }) =>
              setQuery({ live: currentTarget.checked ? "" : "off" }, { isReplacing: true })
            }
          />{" "}
          {t.live}
        </label>
        <button type="button" onClick={() => (isExporting.value = true)}>
          {t.export.open}
        </button>
      </div>
      <FilterBar question={question.value} shown={events ?? []} />
      <div ref={top} />
      <div class="news" role="status">
        {count > 0 && (
          <button type="button" class="primary" onClick={showNew}>
            {t.news(formatNumber(count), count === MOST_WAITING)}
          </button>
        )}
      </div>
      {failure.value !== undefined && <Failure error={failure.value} onRetry={reload} />}
      {events ? (
        <EventTable
          events={events}
          open={open.value}
          isStale={isLoading.value}
          onToggle={(cursor) => {
            const next = new Set(open.value);
            if (!next.delete(cursor)) next.add(cursor);
            open.value = next;
          }}
        />
      ) : (
        failure.value === undefined && <p role="status">{common.loading}</p>
      )}
      {hasOlder.value && (
        <p class="pages">
          <button type="button" disabled={isLoading.value} onClick={() => void loadOlder(question.value)}>
            {t.older}
          </button>
        </p>
      )}
      {isExporting.value && <ExportDialog question={question.value} onClose={() => (isExporting.value = false)} />}
    </>
  );
}

import { useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { GetUser } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { ActDialog } from "../act/dialog.tsx";
import type { Action, Target } from "../act/perform.ts";
import { onEvent, onGap } from "../core/live.ts";
import { address, setQuery } from "../core/router.ts";
import { texts } from "../i18n/messages.ts";
import { Failure } from "../parts/failure.tsx";
import { count, total } from "./counts.ts";
import { FilterBar } from "./filter-bar.tsx";
import { failure, isLoading, load, page, refresh } from "./list.ts";
import { EVERYONE, filtersOf, questionOf } from "./question.ts";
import { SelectionBar } from "./selection-bar.tsx";
import { UserTable } from "./table.tsx";

/** Changes are collected this long, so that a wave of events costs one refresh, milliseconds. */
const REFRESH_MS = 50;

/** The types of events that change a row, or which rows match. */
const CHANGES = [
  "user.created",
  "user.patched",
  "user.locked",
  "user.unlocked",
  "user.activated",
  "user.deactivated",
  "user.deleted",
  "user.username_added",
  "user.username_removed",
];

const idOf = (user: GetUser): string => user.details?.id ?? "";

/** The list of users: find, see, select, act. */
export function UsersPage() {
  const { users: t } = texts.value;
  const question = useComputed(() => questionOf(address.value));
  const selected = useSignal<ReadonlySet<string>>(new Set());
  const isEveryMatch = useSignal(false);
  const acting = useSignal<{ action: Action; target: Target } | undefined>(undefined);
  /** Whether users outside of the page have changed, which may belong on it. */
  const isOutdated = useSignal(false);
  const asked = JSON.stringify(question.value);

  function reload(): void {
    isOutdated.value = false;
    void load(question.value);
    count(question.value);
  }

  useEffect(() => {
    selected.value = new Set();
    isEveryMatch.value = false;
    reload();
  }, [asked]);

  useEffect(() => {
    const changed = new Set<string>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const forgetEvents = onEvent(({ userId, type }) => {
      if (!CHANGES.includes(type)) return;
      if (!page.value?.users.some((user) => idOf(user) === userId)) {
        isOutdated.value = true;
        return;
      }
      changed.add(userId);
      timer ??= setTimeout(() => {
        timer = undefined;
        void refresh([...changed]);
        changed.clear();
      }, REFRESH_MS);
    });
    const forgetGaps = onGap(reload);
    return () => {
      forgetEvents();
      forgetGaps();
      clearTimeout(timer);
    };
  }, []);

  const shown = page.value;

  function act(action: Action, target?: Target): void {
    const filters = filtersOf(question.value, Date.now());
    const all: Target = { filters: filters.length > 0 ? filters : [EVERYONE], total: total.value ?? 0 };
    acting.value = { action, target: target ?? (isEveryMatch.value ? all : { ids: [...selected.value] }) };
  }

  function toggle(ids: readonly string[], isOn: boolean): void {
    const next = new Set(selected.value);
    for (const id of ids) isOn ? next.add(id) : next.delete(id);
    selected.value = next;
    isEveryMatch.value = false;
  }

  return (
    <>
      <div class="title">
        <h1>{t.title}</h1>
        {total.value !== undefined && <p role="status">{t.total(total.value)}</p>}
        {isOutdated.value && (
          <button type="button" class="quiet" onClick={reload}>
            {t.reload}
          </button>
        )}
      </div>
      <FilterBar question={question.value} />
      {selected.value.size > 0 && (
        <SelectionBar
          count={isEveryMatch.value ? (total.value ?? 0) : selected.value.size}
          total={total.value ?? 0}
          isEveryMatch={isEveryMatch.value}
          onEveryMatch={() => (isEveryMatch.value = true)}
          onClear={() => toggle([...selected.value], false)}
          onAct={act}
        />
      )}
      {failure.value !== undefined && <Failure error={failure.value} onRetry={reload} />}
      {shown ? (
        <UserTable
          users={shown.users}
          question={question.value}
          selected={selected.value}
          isStale={isLoading.value}
          onToggle={toggle}
          onAct={(action, id) => act(action, { ids: [id] })}
        />
      ) : (
        failure.value === undefined && <p role="status">{texts.value.common.loading}</p>
      )}
      <nav class="pages" aria-label={texts.value.common.next}>
        {question.value.cursor !== "" && (
          <button type="button" onClick={() => setQuery({ cursor: "" })}>
            {texts.value.common.first}
          </button>
        )}
        {shown && shown.next !== "" && (
          <button type="button" onClick={() => setQuery({ cursor: shown.next })}>
            {texts.value.common.next}
          </button>
        )}
      </nav>
      {acting.value && (
        <ActDialog
          {...acting.value}
          onClose={() => {
            acting.value = undefined;
            void refresh(shown?.users.map(idOf) ?? []);
          }}
        />
      )}
    </>
  );
}

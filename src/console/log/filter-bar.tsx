import type { Event } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { setQuery } from "../core/router.ts";
import { texts } from "../i18n/messages.ts";
import { TextChip } from "../parts/text-chip.tsx";
import { dateOf, FILTER_PARAMETERS, listOf, PERIODS, type Question } from "./question.ts";
import { TypePicker } from "./type-picker.tsx";

/** A filter changes the address, but makes no step of the back button. */
const put = (changes: Record<string, string>) => setQuery(changes, { isReplacing: true });

/** The filters of the log. All must match. */
export function FilterBar({ question, shown }: { question: Question; shown: readonly Event[] }) {
  const { log: t } = texts.value;
  const { types, users, actor, organization, last, since, before } = question;
  const isFiltered =
    types.length + users.length > 0 || actor + organization !== "" || last > 0 || (since ?? before) !== undefined;
  return (
    <search class="filters">
      <fieldset class="chips">
        <legend class="hidden">{t.filters}</legend>
        <TypePicker chosen={types} shown={shown} onChange={(next) => put({ type: next.join(",") })} />
        <TextChip
          name={t.users}
          value={users.join(", ")}
          size={16}
          maxLength={10_000}
          onChange={(value) => put({ user: listOf(value).join(",") })}
        />
        <TextChip name={t.actor} value={actor} onChange={(value) => put({ actor: value })} />
        <TextChip name={t.organization} value={organization} onChange={(value) => put({ org: value })} />
        <PeriodChip question={question} />
        {isFiltered && (
          <button
            type="button"
            class="quiet"
            onClick={() => setQuery(Object.fromEntries(FILTER_PARAMETERS.map((name) => [name, ""])))}
          >
            {t.clear}
          </button>
        )}
      </fieldset>
    </search>
  );
}

function PeriodChip({ question: { last, since, before } }: { question: Question }) {
  const { log: t } = texts.value;
  const isRange = since !== undefined || before !== undefined;

  function choose(value: string): void {
    if (value === "range") put({ last: "", since: new Date(Date.now() - 3_600_000).toISOString(), before: "" });
    else put({ last: value, since: "", before: "" });
  }

  return (
    <>
      <label class={last > 0 || isRange ? "chip on" : "chip"}>
        {t.time}
        <select
          value={isRange ? "range" : last > 0 ? String(last) : ""}
          onChange={({ currentTarget }) => choose(currentTarget.value)}
        >
          <option value="">{t.anyTime}</option>
          {PERIODS.map((period) => (
            <option key={period} value={String(period)}>
              {t.periods[period]}
            </option>
          ))}
          <option value="range">{t.range}</option>
        </select>
      </label>
      {isRange && (
        <>
          <DateChip name={t.since} value={since} onChange={(value) => put({ since: value })} />
          <DateChip name={t.before} value={before} onChange={(value) => put({ before: value })} />
        </>
      )}
    </>
  );
}

function DateChip(props: { name: string; value: Date | undefined; onChange(iso: string): void }) {
  return (
    <label class={props.value ? "chip on" : "chip"} title={Intl.DateTimeFormat().resolvedOptions().timeZone}>
      {props.name}
      <input
        type="datetime-local"
        step="1"
        value={props.value ? localText(props.value) : ""}
        onChange={({ currentTarget }) => props.onChange(dateOf(currentTarget.value)?.toISOString() ?? "")}
      />
    </label>
  );
}

/** The form of a field for dates: the local time, without a zone. */
function localText(date: Date): string {
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

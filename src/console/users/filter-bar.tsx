import { useEffect, useRef } from "preact/hooks";
import { isTyping } from "../core/keys.ts";
import { setQuery } from "../core/router.ts";
import { formatNumber, texts } from "../i18n/messages.ts";
import { TextChip } from "../parts/text-chip.tsx";
import { counts } from "./counts.ts";
import { CAUSES, FILTER_PARAMETERS, type Question, STATES } from "./question.ts";

/** The search box, and a chip for each filter. */
export function FilterBar({ question }: { question: Question }) {
  const { users: t, state, cause } = texts.value;
  const box = useRef<HTMLInputElement>(null);
  const put = (name: string, value: string) => setQuery({ [name]: value, cursor: "" }, { isReplacing: true });

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "/" || isTyping(event.target)) return;
      event.preventDefault();
      box.current?.focus();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);

  const isFiltered = FILTER_PARAMETERS.some((name) => new URL(location.href).searchParams.has(name));
  return (
    <search class="filters">
      <label class="search">
        <span class="hidden">{t.search}</span>
        <input
          ref={box}
          type="search"
          placeholder={t.search}
          value={question.text}
          onInput={({ currentTarget }) => put("q", currentTarget.value)}
          maxLength={200}
          autocomplete="off"
          spellcheck={false}
          aria-keyshortcuts="/"
        />
      </label>
      <fieldset class="chips">
        <legend class="hidden">{t.filters}</legend>
        {STATES.map((one) => (
          <Chip
            key={one}
            isOn={question.state === one}
            count={counts.value?.[one]}
            onToggle={(isOn) => put("state", isOn ? one : "")}
          >
            {state[one]}
          </Chip>
        ))}
        {CAUSES.map((one) => (
          <Chip
            key={one}
            isOn={question.cause === one}
            count={one === "manual" ? counts.value?.lockedManually : counts.value?.lockedByPasswordFailures}
            onToggle={(isOn) => put("cause", isOn ? one : "")}
          >
            {cause[one]}
          </Chip>
        ))}
        <Chip
          isOn={question.endsSoon}
          count={counts.value?.endingSoon}
          onToggle={(isOn) => put("soon", isOn ? "1" : "")}
        >
          {t.endsSoon}
        </Chip>
        <TextChip
          name={t.reason}
          value={question.reason}
          suggested={counts.value?.lockReasons.map(({ reason }) => reason)}
          onChange={(value) => put("reason", value)}
        />
        <TextChip name={t.organization} value={question.organization} onChange={(value) => put("org", value)} />
        {isFiltered && (
          <button
            type="button"
            class="quiet"
            onClick={() => setQuery(Object.fromEntries([...FILTER_PARAMETERS, "cursor"].map((name) => [name, ""])))}
          >
            {t.clear}
          </button>
        )}
      </fieldset>
    </search>
  );
}

function Chip(props: {
  isOn: boolean;
  /** How many users it leaves. */
  count: bigint | undefined;
  onToggle(isOn: boolean): void;
  children: string;
}) {
  return (
    <button type="button" class="chip" aria-pressed={props.isOn} onClick={() => props.onToggle(!props.isOn)}>
      {props.children} {props.count !== undefined && <span class="count">{formatNumber(props.count)}</span>}
    </button>
  );
}

import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";
import type { Event } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { texts } from "../i18n/messages.ts";
import { titleOfType } from "../parts/event.tsx";

/** A list of the types of events that can be searched, each with the number of events that are shown. */
export function TypePicker(props: {
  chosen: readonly string[];
  shown: readonly Event[];
  onChange(types: string[]): void;
}) {
  const { chosen, shown, onChange } = props;
  const { log: t, events } = texts.value;
  const id = useId();
  const text = useSignal("");
  const counts = new Map<string, number>();
  for (const { type } of shown) counts.set(type, (counts.get(type) ?? 0) + 1);
  // The server's own types come first, because the address may have unknown ones.
  const all = [...new Set([...Object.keys(events), ...chosen, ...counts.keys()])];
  const wanted = text.value.trim().toLowerCase();
  const found = all.filter((type) => `${type} ${titleOfType(type)}`.toLowerCase().includes(wanted));

  return (
    <div class="picker">
      <button type="button" class={chosen.length > 0 ? "chip on" : "chip"} popoverTarget={id}>
        {chosen.length === 1 ? titleOfType(chosen[0] as string) : t.types(chosen.length)}{" "}
        <span aria-hidden="true">▾</span>
      </button>
      <section id={id} popover="auto" aria-label={t.typeList}>
        <label>
          <span class="hidden">{t.searchTypes}</span>
          <input
            type="search"
            placeholder={t.searchTypes}
            value={text.value}
            onInput={({ currentTarget }) => (text.value = currentTarget.value)}
            autocomplete="off"
            spellcheck={false}
          />
        </label>
        <div class="line">
          <button type="button" class="quiet" disabled={found.length === 0} onClick={() => onChange(found)}>
            {wanted === "" ? t.chooseAll : t.chooseFound(found.length)}
          </button>
          <button type="button" class="quiet" disabled={chosen.length === 0} onClick={() => onChange([])}>
            {t.chooseNone}
          </button>
        </div>
        <ul>
          {found.map((type) => (
            <li key={type}>
              <label>
                <input
                  type="checkbox"
                  checked={chosen.includes(type)}
                  onChange={({ currentTarget }) =>
                    onChange(currentTarget.checked ? [...chosen, type] : chosen.filter((one) => one !== type))
                  }
                />
                <span>
                  {titleOfType(type)} <code>{type}</code>
                </span>
                <span class="count">
                  {counts.get(type) ?? 0}
                  <span class="hidden"> {t.countShown}</span>
                </span>
              </label>
            </li>
          ))}
        </ul>
        {found.length === 0 && <p role="status">{t.noType}</p>}
      </section>
    </div>
  );
}

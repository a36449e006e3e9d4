import { useId } from "preact/hooks";
import { texts } from "../i18n/messages.ts";
import type { FieldInput, Input } from "./input.ts";
import { UNITS } from "./length.ts";
import { lengthText } from "./sentence.ts";
import { FIELDS, type Field, type Values } from "./values.ts";

/** A value as text, such as "15 minutes". */
export function valueText(field: Field, value: number | boolean): string {
  const { policy: t } = texts.value;
  if (typeof value === "boolean") return value ? t.yes : t.no;
  if (field === "maxAttempts") return value === 0 ? t.noLocks : String(value);
  return value === 0 ? t.endless : lengthText(value, t.sentence);
}

/** The choices of a field besides to inherit, with their names. */
function choicesOf(field: Field): [FieldInput["choice"], string][] {
  const { policy: t } = texts.value;
  if (field === "knownDevicesPass" || field === "revealLock") {
    return [
      ["yes", t.yes],
      ["no", t.no],
    ];
  }
  if (field === "maxAttempts") {
    return [
      ["number", t.number],
      ["none", t.noLocks],
    ];
  }
  const units = UNITS.map((unit): [FieldInput["choice"], string] => [unit, t.units[unit]]).toReversed();
  return field === "maxLockDuration" ? [...units, ["none", t.endless]] : units;
}

/** The fields of a policy, each inherited or set here. */
export function PolicyFields(props: { value: Input; inherited: Values; onChange(value: Input): void }) {
  const { value, inherited, onChange } = props;
  return (
    <>
      {FIELDS.map((field) => (
        <PolicyField
          key={field}
          field={field}
          value={value[field]}
          inherited={valueText(field, inherited[field])}
          onChange={(next) => onChange({ ...value, [field]: next })}
        />
      ))}
    </>
  );
}

function PolicyField(props: { field: Field; value: FieldInput; inherited: string; onChange(value: FieldInput): void }) {
  const { field, value, onChange } = props;
  const { policy: t } = texts.value;
  const id = useId();
  const name = t.fields[field];
  const hasNumber = !["inherit", "none", "yes", "no"].includes(value.choice);
  return (
    <div class="policy-field">
      <label for={id}>{name}</label>
      <div class="line">
        {hasNumber && (
          <input
            type="number"
            aria-label={t.amountOf(name)}
            value={value.amount}
            onInput={({ currentTarget }) => onChange({ ...value, amount: currentTarget.value })}
            min={field === "maxAttempts" ? 1 : 0}
            max={field === "maxAttempts" ? 99 : undefined}
            step={field === "maxAttempts" ? 1 : "any"}
            required
          />
        )}
        <select
          id={id}
          value={value.choice}
          onChange={({ currentTarget }) => onChange({ ...value, choice: currentTarget.value as FieldInput["choice"] })}
          aria-describedby={`${id}-hint`}
        >
          <option value="inherit">{t.inherit(props.inherited)}</option>
          {choicesOf(field).map(([choice, text]) => (
            <option key={choice} value={choice}>
              {text}
            </option>
          ))}
        </select>
      </div>
      <small id={`${id}-hint`}>{t.hints[field]}</small>
    </div>
  );
}

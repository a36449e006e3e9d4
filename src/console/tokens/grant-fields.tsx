import { useId } from "preact/hooks";
import { texts } from "../i18n/messages.ts";
import { type GrantInput, ROLES, type RoleName, scopeOf } from "./roles.ts";

/** The most grants that a token can have. */
const MOST = 50;

/** The roles of a token, and where each is granted. */
export function GrantFields({
  value,
  onChange,
}: {
  value: readonly GrantInput[];
  onChange(value: GrantInput[]): void;
}) {
  const { tokens: t } = texts.value;
  const put = (index: number, change: Partial<GrantInput>) =>
    onChange(value.map((grant, at) => (at === index ? { ...grant, ...change } : grant)));
  return (
    <>
      {value.map((grant, index) => (
        <GrantField
          // Grants have no identity, and a field has no state of its own.
          key={String(index)}
          number={index + 1}
          value={grant}
          onChange={(change) => put(index, change)}
          onRemove={value.length > 1 ? () => onChange(value.filter((_, at) => at !== index)) : undefined}
        />
      ))}
      {value.length < MOST && (
        <p>
          <button type="button" onClick={() => onChange([...value, { role: "ORG_USER_MANAGER", organization: "" }])}>
            {t.addGrant}
          </button>
        </p>
      )}
    </>
  );
}

function GrantField(props: {
  number: number;
  value: GrantInput;
  onChange(change: Partial<GrantInput>): void;
  onRemove: (() => void) | undefined;
}) {
  const { number, value, onChange, onRemove } = props;
  const { tokens: t } = texts.value;
  const id = useId();
  const scope = scopeOf(value.role);
  return (
    <fieldset class="grant">
      <legend>{t.grant(number)}</legend>
      <label>
        {t.role}
        <select
          value={value.role}
          onChange={({ currentTarget }) => onChange({ role: currentTarget.value as RoleName })}
          aria-describedby={`${id}-role`}
        >
          {ROLES.map((role) => (
            <option key={role} value={role}>
              {role}
            </option>
          ))}
        </select>
        <small id={`${id}-role`}>{t.roles[value.role]}</small>
      </label>
      {scope !== "instance" && (
        <label>
          {scope === "organization" ? t.organization : t.organizationOptional}
          <input
            value={value.organization}
            onInput={({ currentTarget }) => onChange({ organization: currentTarget.value })}
            required={scope === "organization"}
            maxLength={200}
            autocomplete="off"
            spellcheck={false}
          />
        </label>
      )}
      {onRemove && (
        <button type="button" class="quiet" aria-label={t.removeGrant(number)} onClick={onRemove}>
          ✕
        </button>
      )}
    </fieldset>
  );
}

import type { Action } from "../act/perform.ts";
import { can } from "../core/session.ts";
import { texts } from "../i18n/messages.ts";

const ACTIONS = [
  ["lock", "user.write"],
  ["unlock", "user.write"],
  ["deactivate", "user.write"],
  ["endSessions", "session.write"],
] as const satisfies [Action, string][];

/** What can be done to the selected users. */
export function SelectionBar(props: {
  count: number;
  total: number;
  isEveryMatch: boolean;
  onEveryMatch(): void;
  onClear(): void;
  onAct(action: Action): void;
}) {
  const { users: t } = texts.value;
  return (
    <section class="selection" aria-label={t.selected(props.count)}>
      <strong role="status">{t.selected(props.count)}</strong>
      {!props.isEveryMatch && props.total > props.count && (
        <button type="button" class="quiet" onClick={props.onEveryMatch}>
          {t.selectAll(props.total)}
        </button>
      )}
      <button type="button" class="quiet" onClick={props.onClear}>
        {t.unselect}
      </button>
      <span class="space" />
      {ACTIONS.filter(([, permission]) => can(permission)).map(([action]) => (
        <button key={action} type="button" onClick={() => props.onAct(action)}>
          {t[action]}
        </button>
      ))}
    </section>
  );
}

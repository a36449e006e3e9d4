import { useEffect, useRef } from "preact/hooks";
import { type GetUser, State } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import type { Action } from "../act/perform.ts";
import { isTyping } from "../core/keys.ts";
import { setQuery } from "../core/router.ts";
import { can } from "../core/session.ts";
import { texts } from "../i18n/messages.ts";
import { LockLine, StateBadges } from "../parts/state.tsx";
import { When } from "../parts/time.tsx";
import { UserLink } from "../parts/user-link.tsx";
import type { Question, Sort } from "./question.ts";

interface Props {
  users: readonly GetUser[];
  question: Question;
  selected: ReadonlySet<string>;
  /** Whether a newer page is on its way. */
  isStale: boolean;
  onToggle(ids: readonly string[], isOn: boolean): void;
  onAct(action: Action, id: string): void;
}

const idOf = (user: GetUser): string => user.details?.id ?? "";

/** A page of users. Keys: j and k move, x selects, l locks, u unlocks, Enter opens. */
export function UserTable({ users, question, selected, isStale, onToggle, onAct }: Props) {
  const { users: t } = texts.value;
  const body = useRef<HTMLTableSectionElement>(null);
  const ids = users.map(idOf);
  const isPageSelected = ids.length > 0 && ids.every((id) => selected.has(id));

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const isOnLink = event.target instanceof HTMLAnchorElement;
      if ((isTyping(event.target) && !isCheckbox(event.target)) || (event.key === "Enter" && isOnLink)) return;
      const rows = [...(body.current?.rows ?? [])];
      const at = rows.findIndex((row) => row.contains(document.activeElement));
      const id = ids[at];
      if (event.key === "j" || event.key === "k") {
        const next = Math.max(0, Math.min(rows.length - 1, at + (event.key === "j" ? 1 : -1)));
        rows[next]?.querySelector<HTMLElement>("a")?.focus();
      } else if (id !== undefined && event.key === "x") onToggle([id], !selected.has(id));
      else if (id !== undefined && event.key === "l" && can("user.write")) onAct("lock", id);
      else if (id !== undefined && event.key === "u" && can("user.write")) onAct("unlock", id);
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });

  if (users.length === 0) return <p class="empty">{t.empty}</p>;
  return (
    <div class="table" aria-busy={isStale}>
      <table>
        <caption class="hidden">{t.title}</caption>
        <thead>
          <tr>
            <th scope="col">
              <input
                type="checkbox"
                aria-label={t.selectPage}
                checked={isPageSelected}
                onChange={() => onToggle(ids, !isPageSelected)}
              />
            </th>
            <SortHeader sort="id" question={question}>
              {t.columns.id}
            </SortHeader>
            <th scope="col">{t.columns.name}</th>
            <SortHeader sort="email" question={question}>
              {t.columns.email}
            </SortHeader>
            <SortHeader sort="state" question={question}>
              {t.columns.state}
            </SortHeader>
            <th scope="col">{t.columns.lock}</th>
            <SortHeader sort="changed" question={question}>
              {t.columns.changed}
            </SortHeader>
            <th scope="col">
              <span class="hidden">{t.columns.actions}</span>
            </th>
          </tr>
        </thead>
        <tbody ref={body}>
          {users.map((user) => (
            <Row key={idOf(user)} user={user} isSelected={selected.has(idOf(user))} onToggle={onToggle} onAct={onAct} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function SortHeader({ sort, question, children }: { sort: Sort; question: Question; children: string }) {
  const isSorted = question.sort === sort;
  const direction = question.isDescending ? "descending" : "ascending";
  return (
    <th scope="col" aria-sort={isSorted ? direction : "none"}>
      <button
        type="button"
        class="sort"
        onClick={() => setQuery({ sort, desc: isSorted && !question.isDescending ? "1" : "", cursor: "" })}
      >
        {children}
        <span aria-hidden="true">{isSorted ? (question.isDescending ? " ↓" : " ↑") : ""}</span>
      </button>
    </th>
  );
}

function Row({
  user,
  isSelected,
  onToggle,
  onAct,
}: { user: GetUser; isSelected: boolean } & Pick<Props, "onToggle" | "onAct">) {
  const { users: t } = texts.value;
  const id = idOf(user);
  return (
    <tr class={isSelected ? "selected" : ""}>
      <td>
        <input
          type="checkbox"
          aria-label={t.selectOne(id)}
          checked={isSelected}
          onChange={() => onToggle([id], !isSelected)}
        />
      </td>
      <th scope="row">
        <UserLink id={id} />
      </th>
      <td data-label={t.columns.name}>
        {user.authenticators?.usernames.map(({ username }) => username).join(", ") || "–"}
      </td>
      <td data-label={t.columns.email}>{user.contact?.email?.address || "–"}</td>
      <td data-label={t.columns.state}>
        <StateBadges user={user} />
      </td>
      <td data-label={t.columns.lock}>
        <LockLine lock={user.lock} />
      </td>
      <td data-label={t.columns.changed}>
        <When at={user.details?.changed} />
      </td>
      <td class="actions">
        {can("user.write") &&
          (user.state === State.USER_STATE_LOCKED ? (
            <button type="button" onClick={() => onAct("unlock", id)}>
              {t.unlock}
            </button>
          ) : (
            <button type="button" onClick={() => onAct("lock", id)}>
              {t.lock}
            </button>
          ))}
      </td>
    </tr>
  );
}

function isCheckbox(target: EventTarget | null): boolean {
  return target instanceof HTMLInputElement && target.type === "checkbox";
}

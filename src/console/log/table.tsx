import { useEffect, useRef } from "preact/hooks";
import type { Event } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { isTyping } from "../core/keys.ts";
import { texts } from "../i18n/messages.ts";
import { EventChange, EventTitle, titleOfType } from "../parts/event.tsx";
import { SubjectLink } from "../parts/subject-link.tsx";
import { Moment, When } from "../parts/time.tsx";
import { UserLink } from "../parts/user-link.tsx";
import { EventDetails } from "./details.tsx";

/** Events, newest first. Each opens to all its fields. Keys: j and k move, Enter opens. */
export function EventTable(props: {
  events: readonly Event[];
  /** The cursors of the events that are open. */
  open: ReadonlySet<string>;
  /** Whether a newer list is on its way. */
  isStale: boolean;
  onToggle(cursor: string): void;
}) {
  const { events, open, isStale, onToggle } = props;
  const { log: t } = texts.value;
  const body = useRef<HTMLTableSectionElement>(null);

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if ((event.key !== "j" && event.key !== "k") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (isTyping(event.target)) return;
      const buttons = [...(body.current?.querySelectorAll<HTMLElement>("button.open") ?? [])];
      const at = buttons.findIndex((button) => button.closest("tr")?.contains(document.activeElement));
      buttons[Math.max(0, Math.min(buttons.length - 1, at + (event.key === "j" ? 1 : -1)))]?.focus();
      event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);

  if (events.length === 0) return <p class="empty">{t.empty}</p>;
  return (
    <div class="table log" aria-busy={isStale}>
      <table>
        <caption class="hidden">{t.title}</caption>
        <thead>
          <tr>
            <th scope="col">
              <span class="hidden">{t.columns.open}</span>
            </th>
            <th scope="col">{t.columns.time}</th>
            <th scope="col">{t.columns.event}</th>
            <th scope="col">{t.columns.user}</th>
            <th scope="col">{t.columns.actor}</th>
            <th scope="col">{t.columns.address}</th>
          </tr>
        </thead>
        <tbody ref={body}>
          {events.map((event) => (
            <Row key={event.cursor} event={event} isOpen={open.has(event.cursor)} onToggle={onToggle} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ event, isOpen, onToggle }: { event: Event; isOpen: boolean; onToggle(cursor: string): void }) {
  const { log: t } = texts.value;
  const { cursor, type, userId, actor, address, time } = event;
  return (
    <>
      <tr class={isOpen ? "opened" : ""}>
        <td>
          <button
            type="button"
            class="open"
            aria-expanded={isOpen}
            aria-label={t.open(titleOfType(type), userId)}
            onClick={() => onToggle(cursor)}
          >
            {isOpen ? "▾" : "▸"}
          </button>
        </td>
        <td data-label={t.columns.time}>
          <Moment at={time} />{" "}
          <small>
            <When at={time} />
          </small>
        </td>
        <th scope="row">
          <EventTitle event={event} />{" "}
          <span class="change">
            <EventChange event={event} />
          </span>
        </th>
        <td data-label={t.columns.user}>
          <UserLink id={userId} />
        </td>
        <td data-label={t.columns.actor}>
          <SubjectLink subject={actor?.subject ?? ""} />
        </td>
        <td data-label={t.columns.address}>{address || "–"}</td>
      </tr>
      {isOpen && (
        <tr class="fields">
          <td colSpan={6}>
            <EventDetails event={event} />
          </td>
        </tr>
      )}
    </>
  );
}

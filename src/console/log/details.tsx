import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { Event } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { address, pathTo, withQuery } from "../core/router.ts";
import { texts } from "../i18n/messages.ts";
import { CopyButton } from "../parts/copy.tsx";
import { FORMATS, fieldsOf } from "./files.ts";

/** How much of the log "around" an event means, milliseconds before it and after it. */
const AROUND_MS = 300_000;

/** All fields of an event, and links to what belongs to it. */
export function EventDetails({ event }: { event: Event }) {
  const { log: t } = texts.value;
  const { type, userId, actor } = event;
  const narrowed = (name: string, value: string) => withQuery(address.value, { [name]: value }).href;
  return (
    <>
      <dl>
        {fieldsOf(event).map(([name, value]) => (
          <div key={name}>
            <dt>{t.fields[name]}</dt>
            <dd>
              <code>{value}</code>
            </dd>
          </div>
        ))}
      </dl>
      <p class="links">
        <a href={around(event)}>{t.around}</a>
        <a href={narrowed("type", type)}>{t.onlyType}</a>
        {userId !== "" && <a href={narrowed("user", userId)}>{t.onlyUser}</a>}
        {actor && <a href={narrowed("actor", actor.subject)}>{t.onlyActor}</a>}
        <CopyButton text={FORMATS.ndjson.line(event)} label={t.copy} />
      </p>
    </>
  );
}

/** The address of all events at about the time of this one. */
function around({ time }: Event): string {
  const at = time ? timestampDate(time).getTime() : 0;
  const since = new Date(at - AROUND_MS).toISOString();
  const before = new Date(at + AROUND_MS).toISOString();
  return `${pathTo("log")}?${new URLSearchParams({ since, before })}`;
}

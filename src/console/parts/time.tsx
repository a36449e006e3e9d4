import { type Timestamp, timestampDate, timestampMs } from "@bufbuild/protobuf/wkt";
import { signal } from "@preact/signals";
import { formatMoment, formatRelative } from "../i18n/messages.ts";

/** The present time, milliseconds since the Unix epoch. It moves each second, so that countdowns run. */
export const now = signal(Date.now());

setInterval(() => {
  now.value = Date.now();
}, 1_000);

/** A moment, as the time from now. The pointer and screen readers get the date. */
export function When({ at }: { at: Timestamp | undefined }) {
  return at ? <Ago ms={timestampMs(at)} /> : <>–</>;
}

/** The same of milliseconds since the Unix epoch. */
export function Ago({ ms }: { ms: number }) {
  const date = new Date(ms);
  return (
    <time dateTime={date.toISOString()} title={formatMoment(date)}>
      {formatRelative(date, now.value)}
    </time>
  );
}

/** A moment as date and time. */
export function Moment({ at }: { at: Timestamp | undefined }) {
  if (!at) return <>–</>;
  const date = timestampDate(at);
  return <time dateTime={date.toISOString()}>{formatMoment(date)}</time>;
}

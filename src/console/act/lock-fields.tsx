import { timestampDate } from "@bufbuild/protobuf/wkt";
import { useId } from "preact/hooks";
import type { Lock } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { texts } from "../i18n/messages.ts";
import type { Details } from "./perform.ts";

/** The fields as they are typed. */
export interface LockInput {
  reason: string;
  note: string;
  /** Seconds, "date", or "" for no end. */
  end: string;
  /** The local date and time, for "date". */
  date: string;
}

const ENDS = ["900", "3600", "43200", "604800", "date", ""] as const;
/** Suggested while no lock of the store has a reason. */
const USUAL_REASONS = ["fraud", "compromised", "abuse", "support", "offboarding"];

/** The fields of a present lock, or of a new one. */
export function toInput(lock: Lock | undefined): LockInput {
  const { reason = "", note = "", until } = lock ?? {};
  if (!until) return { reason, note, end: "", date: "" };
  const at = timestampDate(until);
  // As the field has it: the local time, in minutes.
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  return { reason, note, end: "date", date: local };
}

export function toDetails({ reason, note, end, date }: LockInput): Details {
  if (end === "") return { reason, note };
  return { reason, note, end: end === "date" ? { at: new Date(date) } : { seconds: Number(end) } };
}

/** The reason, the note and the end of a lock. */
export function LockFields(props: {
  value: LockInput;
  onChange(value: LockInput): void;
  reasons?: readonly string[];
  isDisabled: boolean;
}) {
  const { value, onChange, isDisabled } = props;
  const { act } = texts.value;
  const id = useId();
  const put = (name: keyof LockInput) => (event: { currentTarget: { value: string } }) =>
    onChange({ ...value, [name]: event.currentTarget.value });
  return (
    <fieldset disabled={isDisabled}>
      <label>
        {act.reason}
        <input
          name="reason"
          data-first
          list={`${id}-reasons`}
          value={value.reason}
          onInput={put("reason")}
          maxLength={64}
          autocomplete="off"
          aria-describedby={`${id}-reason`}
        />
        <small id={`${id}-reason`}>{act.reasonHint}</small>
      </label>
      <datalist id={`${id}-reasons`}>
        {[...new Set([...(props.reasons ?? []), ...USUAL_REASONS])].map((reason) => (
          <option key={reason} value={reason} />
        ))}
      </datalist>
      <label>
        {act.note}
        <textarea
          name="note"
          value={value.note}
          onInput={put("note")}
          maxLength={500}
          aria-describedby={`${id}-note`}
        />
        <small id={`${id}-note`}>{act.noteHint}</small>
      </label>
      <label>
        {act.until}
        <select name="end" value={value.end} onChange={put("end")}>
          {ENDS.map((end) => (
            <option key={end} value={end}>
              {act.ends[end]}
            </option>
          ))}
        </select>
      </label>
      {value.end === "date" && (
        <label>
          {act.date}
          <input name="date" type="datetime-local" value={value.date} onInput={put("date")} required />
        </label>
      )}
    </fieldset>
  );
}

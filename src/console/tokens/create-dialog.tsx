import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { useSignal } from "@preact/signals";
import { useId, useRef } from "preact/hooks";
import { access } from "../core/api.ts";
import { texts } from "../i18n/messages.ts";
import { FormDialog } from "../parts/form-dialog.tsx";
import { GrantFields } from "./grant-fields.tsx";
import { type GrantInput, toGrant } from "./roles.ts";

/** A token that was just created, with its secret. It is kept by the page that shows it, and nowhere else. */
export interface Created {
  subject: string;
  secret: string;
}

const ENDS = ["30", "90", "365", "date", ""] as const;
const DAY_MS = 86_400_000;

/** Asks for the subject, the grants and the end of a token, and creates it. */
export function CreateDialog(props: { onCreated(created: Created): void; onClose(): void }) {
  const { tokens: t } = texts.value;
  const id = useId();
  const subject = useSignal("");
  const grants = useSignal<GrantInput[]>([{ role: "ORG_USER_MANAGER", organization: "" }]);
  const end = useSignal("90");
  const date = useSignal("");
  // From the opening of the dialog, so that a repeated call is the same call.
  const opened = useRef(Date.now());

  function expires() {
    if (end.value === "") return {};
    const at = end.value === "date" ? new Date(date.value) : new Date(opened.current + Number(end.value) * DAY_MS);
    return { expires: timestampFromDate(at) };
  }

  return (
    <FormDialog
      title={t.createTitle}
      submit={t.createSubmit}
      input={[subject.value, grants.value, end.value, date.value]}
      onSubmit={async (headers) => {
        const name = subject.value.trim();
        const request = { subject: name, grants: grants.value.map(toGrant), ...expires() };
        const { token } = await access.createToken(request, { headers });
        props.onCreated({ subject: name, secret: token });
      }}
      onDone={() => {}}
      onClose={props.onClose}
    >
      <label>
        {t.subject}
        <input
          data-first
          value={subject.value}
          onInput={({ currentTarget }) => (subject.value = currentTarget.value)}
          required
          maxLength={200}
          autocomplete="off"
          spellcheck={false}
          aria-describedby={`${id}-subject`}
        />
        <small id={`${id}-subject`}>{t.subjectHint}</small>
      </label>
      <GrantFields value={grants.value} onChange={(next) => (grants.value = next)} />
      <label>
        {t.expires}
        <select value={end.value} onChange={({ currentTarget }) => (end.value = currentTarget.value)}>
          {ENDS.map((one) => (
            <option key={one} value={one}>
              {t.ends[one]}
            </option>
          ))}
        </select>
      </label>
      {end.value === "date" && (
        <label>
          {t.date}
          <input
            type="datetime-local"
            value={date.value}
            onInput={({ currentTarget }) => (date.value = currentTarget.value)}
            required
          />
        </label>
      )}
    </FormDialog>
  );
}

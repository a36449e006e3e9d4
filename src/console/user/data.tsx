import type { JsonObject } from "@bufbuild/protobuf";
import { useSignal } from "@preact/signals";
import type { GetUser } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { users } from "../core/api.ts";
import { can } from "../core/session.ts";
import { texts } from "../i18n/messages.ts";
import { FormDialog } from "../parts/form-dialog.tsx";

const toText = (data: JsonObject | undefined): string => JSON.stringify(data ?? {}, null, 2);

/** The user's data as JSON. */
export function UserData({ user, onChange }: { user: GetUser; onChange(): void }) {
  const { user: t } = texts.value;
  const isEditing = useSignal(false);
  const isEmpty = Object.keys(user.data ?? {}).length === 0;
  return (
    <section class="card" aria-labelledby="data-title">
      <h2 id="data-title">{t.data}</h2>
      {isEmpty ? (
        <p>{t.noData}</p>
      ) : (
        <pre>
          <code>{toText(user.data)}</code>
        </pre>
      )}
      {can("user.write") && (
        <footer>
          <button type="button" onClick={() => (isEditing.value = true)}>
            {t.edit}
          </button>
        </footer>
      )}
      {isEditing.value && <EditDialog user={user} onDone={onChange} onClose={() => (isEditing.value = false)} />}
    </section>
  );
}

function EditDialog({ user, onDone, onClose }: { user: GetUser; onDone(): void; onClose(): void }) {
  const { user: t } = texts.value;
  const id = user.details?.id ?? "";
  const first = useSignal(toText(user.data));
  const text = useSignal(first.value);
  const { data, problem } = read(text.value);
  return (
    <FormDialog
      title={t.editTitle(id)}
      submit={t.save}
      isReady={data !== undefined && text.value !== first.value}
      input={text.value}
      onSubmit={(headers) => users.patchUser({ id, user: { data: data ?? {} } }, { headers })}
      onDone={onDone}
      onClose={onClose}
    >
      <label>
        {t.json}
        <textarea
          name="data"
          class="code"
          data-first
          rows={14}
          spellcheck={false}
          value={text.value}
          onInput={({ currentTarget }) => (text.value = currentTarget.value)}
          aria-invalid={problem !== undefined}
          aria-describedby="data-hint data-problem"
        />
        <small id="data-hint">{t.jsonHint}</small>
      </label>
      <p id="data-problem" role="status" class={problem === undefined ? undefined : "problem"}>
        {problem ?? (toText(user.data) === first.value ? "" : t.dataChanged)}
      </p>
    </FormDialog>
  );
}

/** Reads a JSON object, or says what is wrong with it. */
function read(text: string): { data?: JsonObject; problem?: string } {
  const { user: t } = texts.value;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return { problem: t.notObject };
    return { data: value as JsonObject };
  } catch (error) {
    // Browsers name the place, each in its own sentence.
    const [, line, column] = /line (\d+) column (\d+)/.exec(String(error)) ?? [];
    return { problem: t.notJson(line !== undefined && column !== undefined ? t.place(line, column) : "") };
  }
}

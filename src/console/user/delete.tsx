import { useSignal } from "@preact/signals";
import { users } from "../core/api.ts";
import { texts } from "../i18n/messages.ts";
import { FormDialog } from "../parts/form-dialog.tsx";

/** Deletes the user, once their id is typed. */
export function DeleteUser({ id, onChange }: { id: string; onChange(): void }) {
  const { user: t } = texts.value;
  const isAsking = useSignal(false);
  const typed = useSignal("");
  return (
    <section class="card" aria-labelledby="delete-title">
      <h2 id="delete-title">{t.delete}</h2>
      <p>{t.deleteHint}</p>
      <footer>
        <button
          type="button"
          onClick={() => {
            typed.value = "";
            isAsking.value = true;
          }}
        >
          {t.deleteButton}
        </button>
      </footer>
      {isAsking.value && (
        <FormDialog
          title={t.deleteTitle(id)}
          submit={t.delete}
          isDanger
          isReady={typed.value === id}
          onSubmit={(headers) => users.deleteUser({ id }, { headers })}
          onDone={onChange}
          onClose={() => (isAsking.value = false)}
        >
          <p>{t.deleteHint}</p>
          <label>
            {t.typeId(id)}
            <input
              name="confirmation"
              data-first
              value={typed.value}
              onInput={({ currentTarget }) => (typed.value = currentTarget.value.trim())}
              autocomplete="off"
              spellcheck={false}
            />
          </label>
        </FormDialog>
      )}
    </section>
  );
}

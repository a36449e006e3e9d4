import { useSignal } from "@preact/signals";
import { type GetUser, OwnerType, type Username } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { users } from "../core/api.ts";
import { can } from "../core/session.ts";
import { texts } from "../i18n/messages.ts";
import { FormDialog } from "../parts/form-dialog.tsx";

/** The names by which the user logs in. */
export function Usernames({ user, onChange }: { user: GetUser; onChange(): void }) {
  const { user: t } = texts.value;
  const isAdding = useSignal(false);
  const removing = useSignal<Username | undefined>(undefined);
  const id = user.details?.id ?? "";
  const names = user.authenticators?.usernames ?? [];
  return (
    <section class="card" aria-labelledby="names-title">
      <h2 id="names-title">{t.names}</h2>
      {names.length === 0 && <p>{t.noNames}</p>}
      <ul class="rows">
        {names.map((name) => (
          <li key={name.usernameId}>
            <span>
              {name.username} {name.isOrganizationSpecific && <small>{t.inOrganization}</small>}
            </span>
            {can("user.write") && (
              <button type="button" aria-label={t.removeOne(name.username)} onClick={() => (removing.value = name)}>
                {t.remove}
              </button>
            )}
          </li>
        ))}
      </ul>
      {can("user.write") && (
        <footer>
          <button type="button" onClick={() => (isAdding.value = true)}>
            {t.addName}
          </button>
        </footer>
      )}
      {isAdding.value && <AddDialog user={user} onDone={onChange} onClose={() => (isAdding.value = false)} />}
      {removing.value && (
        <FormDialog
          title={t.removeOne(removing.value.username)}
          submit={t.removeSubmit}
          isDanger
          onSubmit={(headers) =>
            users.removeUsername({ id, usernameId: removing.value?.usernameId ?? "" }, { headers })
          }
          onDone={onChange}
          onClose={() => (removing.value = undefined)}
        >
          <p>{t.removeHint}</p>
        </FormDialog>
      )}
    </section>
  );
}

function AddDialog({ user, onDone, onClose }: { user: GetUser; onDone(): void; onClose(): void }) {
  const { user: t } = texts.value;
  const name = useSignal("");
  const isSpecific = useSignal(false);
  const id = user.details?.id ?? "";
  const username = { username: name.value, isOrganizationSpecific: isSpecific.value };
  return (
    <FormDialog
      title={t.addName.replace("…", "")}
      submit={t.add}
      isReady={name.value !== ""}
      input={username}
      onSubmit={(headers) => users.addUsername({ id, username }, { headers })}
      onDone={onDone}
      onClose={onClose}
    >
      <label>
        {t.name}
        <input
          name="username"
          data-first
          value={name.value}
          onInput={({ currentTarget }) => (name.value = currentTarget.value)}
          maxLength={200}
          autocomplete="off"
          spellcheck={false}
        />
      </label>
      {user.details?.owner?.type === OwnerType.ORG && (
        <label>
          <input
            type="checkbox"
            checked={isSpecific.value}
            onChange={({ currentTarget }) => (isSpecific.value = currentTarget.checked)}
          />{" "}
          {t.isSpecific}
        </label>
      )}
    </FormDialog>
  );
}

import { useSignal } from "@preact/signals";
import type { GetUser } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { users } from "../core/api.ts";
import { can } from "../core/session.ts";
import { texts } from "../i18n/messages.ts";
import { FormDialog } from "../parts/form-dialog.tsx";
import { Moment, When } from "../parts/time.tsx";

/** Without characters that look alike. 54 of them: 16 have 92 bits. */
const ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789";
const LENGTH = 16;

/** When the password was set, and a way to set another one. */
export function Password({ user, onChange }: { user: GetUser; onChange(): void }) {
  const { user: t } = texts.value;
  const isSetting = useSignal(false);
  const password = user.authenticators?.password;
  return (
    <section class="card" aria-labelledby="password-title">
      <h2 id="password-title">{t.password}</h2>
      {password ? (
        <p>
          {t.passwordSet} <Moment at={password.lastChanged} />{" "}
          <small>
            <When at={password.lastChanged} />
          </small>
        </p>
      ) : (
        <p>{t.noPassword}</p>
      )}
      {can("user.write") && (
        <footer>
          <button type="button" onClick={() => (isSetting.value = true)}>
            {t.setPassword}
          </button>
        </footer>
      )}
      {isSetting.value && (
        <SetDialog id={user.details?.id ?? ""} onDone={onChange} onClose={() => (isSetting.value = false)} />
      )}
    </section>
  );
}

function SetDialog({ id, onDone, onClose }: { id: string; onDone(): void; onClose(): void }) {
  const { user: t } = texts.value;
  const text = useSignal("");
  const isShown = useSignal(false);
  const changeRequired = useSignal(true);
  const newPassword = {
    type: { case: "password" as const, value: text.value },
    changeRequired: changeRequired.value,
  };
  return (
    <FormDialog
      title={t.setPassword.replace("…", "")}
      submit={t.set}
      isReady={text.value !== ""}
      input={newPassword}
      onSubmit={(headers) => users.setPassword({ id, newPassword }, { headers })}
      onDone={onDone}
      onClose={onClose}
    >
      <p>{t.passwordHint}</p>
      {/* For password managers. */}
      <input type="text" name="username" autocomplete="username" value={id} readOnly hidden />
      <label>
        {t.newPassword}
        <input
          name="password"
          // One element, so that it keeps the cursor. The types of Preact want two.
          type={(isShown.value ? "text" : "password") as "text"}
          data-first
          autocomplete="new-password"
          value={text.value}
          onInput={({ currentTarget }) => (text.value = currentTarget.value)}
          spellcheck={false}
        />
      </label>
      <div class="line">
        <label>
          <input
            type="checkbox"
            checked={isShown.value}
            onChange={({ currentTarget }) => (isShown.value = currentTarget.checked)}
          />{" "}
          {t.show}
        </label>
        <button
          type="button"
          onClick={() => {
            text.value = suggestion();
            isShown.value = true;
          }}
        >
          {t.suggest}
        </button>
      </div>
      <label>
        <input
          type="checkbox"
          checked={changeRequired.value}
          onChange={({ currentTarget }) => (changeRequired.value = currentTarget.checked)}
        />{" "}
        {t.changeRequired}
      </label>
    </FormDialog>
  );
}

/** A random password. */
function suggestion(): string {
  let text = "";
  while (text.length < LENGTH) {
    // Bytes beyond the alphabet are skipped, so that all characters are equally likely.
    for (const byte of crypto.getRandomValues(new Uint8Array(4 * LENGTH))) text += ALPHABET[byte & 63] ?? "";
  }
  return text.slice(0, LENGTH);
}

import { useSignal } from "@preact/signals";
import { logIn, loginFailure } from "../core/session.ts";
import { texts } from "../i18n/messages.ts";

/** Asks for a token. */
export function LoginPage() {
  const { login: t } = texts.value;
  const isBusy = useSignal(false);

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const typed = String(new FormData(event.currentTarget as HTMLFormElement).get("token"));
    // As it stands in a header.
    const token = typed.trim().replace(/^Bearer +/i, "");
    isBusy.value = true;
    try {
      loginFailure.value = await logIn(token);
    } catch {
      loginFailure.value = t.unreachable;
    }
    isBusy.value = false;
  }

  return (
    <main class="login" id="main">
      <form onSubmit={(event) => void submit(event)}>
        <h1>{t.title}</h1>
        {loginFailure.value !== "" && (
          <p class="failure" role="alert">
            {loginFailure.value}
          </p>
        )}
        <label>
          {t.token}
          <input name="token" type="password" autocomplete="off" required aria-describedby="token-hint" />
        </label>
        <p id="token-hint">
          <small>{t.hint}</small>
        </p>
        <button type="submit" class="primary" disabled={isBusy.value}>
          {t.submit}
        </button>
      </form>
    </main>
  );
}

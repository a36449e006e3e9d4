import { useSignal } from "@preact/signals";
import { logIn } from "../core/session.ts";
import { texts } from "../i18n/messages.ts";

/** Asks for a token. */
export function LoginPage() {
  const { login: t } = texts.value;
  const failure = useSignal("");
  const isBusy = useSignal(false);

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const token = String(new FormData(event.currentTarget as HTMLFormElement).get("token")).trim();
    isBusy.value = true;
    try {
      failure.value = (await logIn(token)) ?? "";
    } catch {
      failure.value = t.unreachable;
    }
    isBusy.value = false;
  }

  return (
    <main class="login" id="main">
      <form onSubmit={(event) => void submit(event)}>
        <h1>{t.title}</h1>
        {failure.value !== "" && (
          <p class="failure" role="alert">
            {failure.value}
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

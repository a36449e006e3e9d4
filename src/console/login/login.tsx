import { useSignal } from "@preact/signals";
import { issuer, logIn, logInAtIssuer, loginFailure } from "../core/session.ts";
import { texts } from "../i18n/messages.ts";

/** Asks for a token, or sends to the issuer of OpenID Connect if there is one. */
export function LoginPage() {
  const { login: t } = texts.value;
  const isBusy = useSignal(false);

  async function attempt(way: () => Promise<void>): Promise<void> {
    isBusy.value = true;
    try {
      await way();
    } catch {
      loginFailure.value = t.unreachable;
    }
    isBusy.value = false;
  }

  function submit(event: SubmitEvent): void {
    event.preventDefault();
    const typed = String(new FormData(event.currentTarget as HTMLFormElement).get("token"));
    // As it stands in a header.
    const token = typed.trim().replace(/^Bearer +/i, "");
    void attempt(async () => {
      loginFailure.value = await logIn(token);
    });
  }

  return (
    <main class="login" id="main">
      <form onSubmit={submit}>
        <h1>{t.title}</h1>
        {loginFailure.value !== "" && (
          <p class="failure" role="alert">
            {loginFailure.value}
          </p>
        )}
        {issuer.value !== undefined && (
          <button type="button" class="primary" disabled={isBusy.value} onClick={() => void attempt(logInAtIssuer)}>
            {t.atIssuer(issuer.value)}
          </button>
        )}
        <label>
          {t.token}
          <input name="token" type="password" autocomplete="off" required aria-describedby="token-hint" />
        </label>
        <p id="token-hint">
          <small>{t.hint}</small>
        </p>
        <button type="submit" class={issuer.value === undefined ? "primary" : ""} disabled={isBusy.value}>
          {t.submit}
        </button>
      </form>
    </main>
  );
}

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { texts } from "../i18n/messages.ts";
import { Dialog } from "../parts/dialog.tsx";
import type { Created } from "./create-dialog.tsx";

/** Shows the secret of a new token, once. */
export function SecretDialog({ created, onClose }: { created: Created; onClose(): void }) {
  const { tokens: t } = texts.value;
  const field = useRef<HTMLInputElement>(null);
  const outcome = useSignal<"" | "copied" | "byHand">("");

  async function copy(): Promise<void> {
    field.current?.select();
    try {
      // Undefined over plain HTTP, except on the own machine.
      await navigator.clipboard.writeText(created.secret);
      outcome.value = "copied";
    } catch {
      outcome.value = "byHand";
    }
  }

  return (
    <Dialog title={t.secretTitle(created.subject)} onClose={onClose}>
      <p class="warning">{t.secretWarning}</p>
      <div class="secret">
        <label>
          {t.secret}
          <input ref={field} class="mono" value={created.secret} readOnly autocomplete="off" spellcheck={false} />
        </label>
        <button type="button" class="primary" data-first onClick={() => void copy()}>
          {t.copy}
        </button>
      </div>
      <p role="status">{outcome.value === "copied" ? t.copied : outcome.value === "byHand" ? t.copyByHand : ""}</p>
      <footer>
        <button type="button" onClick={onClose}>
          {t.secretDone}
        </button>
      </footer>
    </Dialog>
  );
}

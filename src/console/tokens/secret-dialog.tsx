import { useRef } from "preact/hooks";
import { texts } from "../i18n/messages.ts";
import { CopyButton } from "../parts/copy.tsx";
import { Dialog } from "../parts/dialog.tsx";
import type { Created } from "./create-dialog.tsx";

/** Shows the secret of a new token, once. */
export function SecretDialog({ created, onClose }: { created: Created; onClose(): void }) {
  const { tokens: t, common } = texts.value;
  const field = useRef<HTMLInputElement>(null);
  return (
    <Dialog title={t.secretTitle(created.subject)} onClose={onClose}>
      <p class="warning">{t.secretWarning}</p>
      <p>
        <label class="secret">
          {t.secret}
          <input
            ref={field}
            data-first
            value={created.secret}
            readOnly
            // Where the browser does not let the page copy, it is selected for copying by hand.
            onFocus={() => field.current?.select()}
            autocomplete="off"
            spellcheck={false}
          />
        </label>
      </p>
      <CopyButton text={created.secret} label={common.copy} />
      <footer>
        <button type="button" onClick={onClose}>
          {t.secretDone}
        </button>
      </footer>
    </Dialog>
  );
}

import { reasonOf, sentenceOf } from "../core/api.ts";
import { texts } from "../i18n/messages.ts";

/** The server's sentence about a failed call, with its reason. */
export function Failure({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const reason = reasonOf(error);
  return (
    <div class="failure" role="alert">
      <p>
        {sentenceOf(error)} {reason !== "" && <code>{reason}</code>}
      </p>
      {onRetry && (
        <button type="button" onClick={onRetry}>
          {texts.value.common.retry}
        </button>
      )}
    </div>
  );
}

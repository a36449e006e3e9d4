import { useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Token } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { onEvent, onGap } from "../core/live.ts";
import { address, setQuery } from "../core/router.ts";
import { me } from "../core/session.ts";
import { texts } from "../i18n/messages.ts";
import { Failure } from "../parts/failure.tsx";
import { TextChip } from "../parts/text-chip.tsx";
import { CreateDialog, type Created } from "./create-dialog.tsx";
import { failure, load, PAGE, page, questionOf } from "./list.ts";
import { RevokeDialog } from "./revoke-dialog.tsx";
import { SecretDialog } from "./secret-dialog.tsx";
import { TokenTable } from "./table.tsx";

/** The tokens that are not revoked: see, create, revoke. */
export function TokensPage() {
  const { tokens: t, common } = texts.value;
  const question = useComputed(() => questionOf(address.value));
  const isCreating = useSignal(false);
  const created = useSignal<Created | undefined>(undefined);
  const revoking = useSignal<Token | undefined>(undefined);
  const { subject, offset } = question.value;
  const ownId = me.value?.tokenId;
  const reload = () => void load(question.value);

  useEffect(reload, [subject, offset]);
  useEffect(() => {
    const forgetEvents = onEvent(({ type }) => {
      if (type.startsWith("token.")) reload();
    });
    const forgetGaps = onGap(reload);
    return () => {
      forgetEvents();
      forgetGaps();
    };
  }, []);

  const shown = page.value;
  return (
    <>
      <div class="title">
        <h1>{t.title}</h1>
        {shown && <p role="status">{t.total(shown.total)}</p>}
        <span class="space" />
        <button type="button" class="primary" onClick={() => (isCreating.value = true)}>
          {t.create}
        </button>
      </div>
      <search class="chips filters">
        <TextChip
          name={t.subjectFilter}
          value={subject}
          size={16}
          onChange={(value) => setQuery({ subject: value, from: "" })}
        />
      </search>
      {failure.value !== undefined && <Failure error={failure.value} onRetry={reload} />}
      {shown ? (
        <TokenTable tokens={shown.tokens} ownId={ownId} onRevoke={(token) => (revoking.value = token)} />
      ) : (
        failure.value === undefined && <p role="status">{common.loading}</p>
      )}
      {shown && shown.total > PAGE && (
        <nav class="pages" aria-label={common.next}>
          {offset > 0 && (
            <button type="button" onClick={() => setQuery({ from: "" })}>
              {common.first}
            </button>
          )}
          {offset + PAGE < shown.total && (
            <button type="button" onClick={() => setQuery({ from: String(offset + PAGE) })}>
              {common.next}
            </button>
          )}
        </nav>
      )}
      {isCreating.value && (
        <CreateDialog
          onCreated={(one) => {
            created.value = one;
            reload();
          }}
          onClose={() => (isCreating.value = false)}
        />
      )}
      {created.value && !isCreating.value && (
        <SecretDialog created={created.value} onClose={() => (created.value = undefined)} />
      )}
      {revoking.value && (
        <RevokeDialog
          token={revoking.value}
          isOwn={revoking.value.details?.id === ownId}
          onDone={reload}
          onClose={() => (revoking.value = undefined)}
        />
      )}
    </>
  );
}

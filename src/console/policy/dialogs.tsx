import { useSignal } from "@preact/signals";
import { settings } from "../core/api.ts";
import { texts } from "../i18n/messages.ts";
import { FormDialog } from "../parts/form-dialog.tsx";
import { PolicyFields } from "./fields.tsx";
import { inputOf, readInput } from "./input.ts";
import { policySentences } from "./sentence.ts";
import { type Policy, placeOf } from "./state.ts";
import { toPolicy, type Values } from "./values.ts";

interface Props {
  policy: Policy;
  onDone(): void;
  onClose(): void;
}

/** The name of a place, for titles. */
export function placeName(organization: string): string {
  const { policy: t } = texts.value;
  return organization === "" ? t.ofInstance : t.ofOrganization(organization);
}

/** What a policy does. The first sentence says when it locks, and for how long. */
export function Sentences({ values }: { values: Values }) {
  const [first, ...others] = policySentences(values, texts.value.policy.sentence);
  return (
    <>
      <p class="policy-sentence">{first}</p>
      <ul>
        {others.map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ul>
    </>
  );
}

/** Edits the fields that are set here. It says what the policy will do. */
export function EditDialog({ policy, onDone, onClose }: Props) {
  const { policy: t } = texts.value;
  const { organization, inherited } = policy;
  const input = useSignal(inputOf(policy.own ?? {}));
  const own = readInput(input.value);
  const [first, ...others] = own ? policySentences({ ...inherited, ...own }, t.sentence) : [];
  const isEmpty = own !== undefined && Object.keys(own).length === 0;
  return (
    <FormDialog
      title={t.editTitle(placeName(organization))}
      submit={t.save}
      isReady={own !== undefined && !(isEmpty && !policy.own)}
      input={own}
      onSubmit={async (headers) => {
        const place = placeOf(organization);
        // An empty policy would look as if something was set.
        if (isEmpty) await settings.resetLockoutPolicy(place, { headers });
        else await settings.setLockoutPolicy({ ...place, policy: toPolicy(own ?? {}) }, { headers });
      }}
      onDone={onDone}
      onClose={onClose}
    >
      {/* It stays in sight while the fields scroll. */}
      <section class="preview policy-preview" aria-label={t.preview} aria-live="polite">
        <p class="policy-sentence">{first ?? t.incomplete}</p>
      </section>
      <PolicyFields value={input.value} inherited={inherited} onChange={(next) => (input.value = next)} />
      <ul class="hint">
        {others.map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ul>
    </FormDialog>
  );
}

/** Asks before every field is inherited again, and says what changes. */
export function ResetDialog({ policy, onDone, onClose }: Props) {
  const { policy: t } = texts.value;
  const { organization, inherited } = policy;
  return (
    <FormDialog
      title={t.resetTitle(placeName(organization))}
      submit={t.resetSubmit}
      isDanger
      onSubmit={(headers) => settings.resetLockoutPolicy(placeOf(organization), { headers })}
      onDone={onDone}
      onClose={onClose}
    >
      <p>{t.resetEffect(organization === "")}</p>
      <section class="preview" aria-label={t.preview}>
        <Sentences values={inherited} />
      </section>
    </FormDialog>
  );
}

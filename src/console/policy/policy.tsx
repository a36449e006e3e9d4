import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { onEvent, onGap } from "../core/live.ts";
import { address, setQuery } from "../core/router.ts";
import { can } from "../core/session.ts";
import { texts } from "../i18n/messages.ts";
import { Failure } from "../parts/failure.tsx";
import { TextChip } from "../parts/text-chip.tsx";
import { EditDialog, placeName, ResetDialog, Sentences } from "./dialogs.tsx";
import { valueText } from "./fields.tsx";
import { failure, load, ownOrganizations, type Policy, policy } from "./state.ts";
import { FIELDS } from "./values.ts";

/** When wrong passwords lock users, of the instance or of an organization. */
export function PolicyPage() {
  const { policy: t, common } = texts.value;
  const dialog = useSignal<"" | "edit" | "reset">("");
  const reachable = ownOrganizations();
  // Who reaches organizations only begins with one of them.
  const organization = address.value.searchParams.get("org") ?? reachable[0] ?? "";
  const reload = () => void load(organization);

  useEffect(() => {
    reload();
    const forgetEvents = onEvent(({ type }) => {
      if (type.startsWith("lockout_policy.")) reload();
    });
    const forgetGaps = onGap(reload);
    return () => {
      forgetEvents();
      forgetGaps();
    };
  }, [organization]);

  const shown = policy.value?.organization === organization ? policy.value : undefined;
  const dialogs = shown && { policy: shown, onDone: reload, onClose: () => (dialog.value = "") };
  return (
    <>
      <div class="title">
        <h1>{t.title}</h1>
        <p role="status">{placeName(organization)}</p>
        <span class="space" />
        {shown && can("settings.write") && (
          <>
            {shown.own && (
              <button type="button" onClick={() => (dialog.value = "reset")}>
                {t.reset}
              </button>
            )}
            <button type="button" class="primary" onClick={() => (dialog.value = "edit")}>
              {t.edit}
            </button>
          </>
        )}
      </div>
      <search class="chips filters">
        <TextChip
          name={t.organization}
          value={organization}
          suggested={reachable}
          size={16}
          onChange={(value) => setQuery({ org: value })}
        />
        {organization !== "" && reachable.length === 0 && (
          <button type="button" class="quiet" onClick={() => setQuery({ org: "" })}>
            {t.showInstance}
          </button>
        )}
      </search>
      {failure.value !== undefined && <Failure error={failure.value} onRetry={reload} />}
      {shown ? (
        <>
          <section class="policy-what" aria-labelledby="policy-what">
            <h2 id="policy-what">{t.what}</h2>
            <Sentences values={shown.values} />
          </section>
          {!shown.own && <p>{t.inheritsAll(organization === "")}</p>}
          <PolicyTable policy={shown} />
        </>
      ) : (
        failure.value === undefined && <p role="status">{common.loading}</p>
      )}
      {dialogs && dialog.value === "edit" && <EditDialog {...dialogs} />}
      {dialogs && dialog.value === "reset" && <ResetDialog {...dialogs} />}
    </>
  );
}

/** The values in force, and where each comes from. */
function PolicyTable({ policy: { organization, values, own } }: { policy: Policy }) {
  const { policy: t } = texts.value;
  return (
    <div class="table">
      <table>
        <caption class="hidden">{t.title}</caption>
        <thead>
          <tr>
            <th scope="col">{t.columns.field}</th>
            <th scope="col">{t.columns.value}</th>
            <th scope="col">{t.columns.source}</th>
          </tr>
        </thead>
        <tbody>
          {FIELDS.map((field) => {
            const isOwn = own?.[field] !== undefined;
            return (
              <tr key={field} class={isOwn ? "" : "inherited"}>
                <th scope="row">{t.fields[field]}</th>
                <td data-label={t.columns.value}>{valueText(field, values[field])}</td>
                <td data-label={t.columns.source}>
                  {isOwn ? <span class="badge">{t.setHere}</span> : t.inherited(organization === "")}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

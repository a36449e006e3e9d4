import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type { Token } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { texts } from "../i18n/messages.ts";
import { now, When } from "../parts/time.tsx";
import { grantText } from "./roles.ts";

/** A token that ends within this time is marked, milliseconds. */
const SOON_MS = 7 * 86_400_000;

/** A page of tokens. `ownId` is the caller's own token. */
export function TokenTable(props: {
  tokens: readonly Token[];
  ownId: string | undefined;
  onRevoke(token: Token): void;
}) {
  const { tokens: t } = texts.value;
  if (props.tokens.length === 0) return <p class="empty">{t.empty}</p>;
  return (
    <div class="table">
      <table>
        <caption class="hidden">{t.title}</caption>
        <thead>
          <tr>
            <th scope="col">{t.columns.subject}</th>
            <th scope="col">{t.columns.grants}</th>
            <th scope="col">{t.columns.expires}</th>
            <th scope="col">{t.columns.created}</th>
            <th scope="col">{t.columns.id}</th>
            <th scope="col">
              <span class="hidden">{t.columns.actions}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {props.tokens.map((token) => {
            const id = token.details?.id ?? "";
            return (
              <tr key={id}>
                <th scope="row">
                  {token.subject} {id === props.ownId && <span class="badge">{t.own}</span>}
                </th>
                <td data-label={t.columns.grants}>
                  <ul class="plain">
                    {token.grants.map((grant) => (
                      <li key={grantText(grant)}>{grantText(grant)}</li>
                    ))}
                  </ul>
                </td>
                <td data-label={t.columns.expires}>
                  <End at={token.expires} />
                </td>
                <td data-label={t.columns.created}>
                  <When at={token.details?.created} />
                </td>
                <td data-label={t.columns.id}>
                  <code>{id}</code>
                </td>
                <td class="actions">
                  <button type="button" onClick={() => props.onRevoke(token)}>
                    {t.revoke}
                  </button>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function End({ at }: { at: Timestamp | undefined }) {
  const { tokens: t } = texts.value;
  if (!at) return <>{t.never}</>;
  const leftMs = timestampMs(at) - now.value;
  return (
    <>
      <When at={at} />{" "}
      {leftMs <= 0 ? (
        <span class="badge locked">{t.expired}</span>
      ) : (
        leftMs < SOON_MS && <span class="badge inactive">{t.endsSoon}</span>
      )}
    </>
  );
}

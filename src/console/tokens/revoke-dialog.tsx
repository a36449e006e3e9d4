import type { Token } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { access } from "../core/api.ts";
import { logOut } from "../core/session.ts";
import { texts } from "../i18n/messages.ts";
import { FormDialog } from "../parts/form-dialog.tsx";
import { Moment } from "../parts/time.tsx";
import { grantText } from "./roles.ts";

/** Asks before it revokes a token. */
export function RevokeDialog(props: { token: Token; isOwn: boolean; onDone(): void; onClose(): void }) {
  const { token, isOwn } = props;
  const { tokens: t } = texts.value;
  const tokenId = token.details?.id ?? "";
  return (
    <FormDialog
      title={t.revokeTitle(token.subject)}
      submit={t.revokeSubmit}
      isDanger
      onSubmit={(headers) => access.revokeToken({ tokenId }, { headers })}
      // The session ends with its token. Any further call would be refused.
      onDone={() => (isOwn ? void logOut() : props.onDone())}
      onClose={props.onClose}
    >
      {isOwn && <p class="warning">{t.revokeOwn}</p>}
      <p>{t.revokeEffect}</p>
      <dl class="described">
        <dt>{t.columns.id}</dt>
        <dd>
          <code>{tokenId}</code>
        </dd>
        <dt>{t.columns.grants}</dt>
        <dd>{token.grants.map(grantText).join(", ")}</dd>
        <dt>{t.columns.created}</dt>
        <dd>
          <Moment at={token.details?.created} />
        </dd>
      </dl>
    </FormDialog>
  );
}

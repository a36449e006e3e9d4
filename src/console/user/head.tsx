import type { ComponentChildren } from "preact";
import { type GetUser, type Owner, OwnerType } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { pathTo } from "../core/router.ts";
import { me } from "../core/session.ts";
import { texts } from "../i18n/messages.ts";
import { StateBadge } from "../parts/state.tsx";
import { When } from "../parts/time.tsx";

/** Who the user is, and both axes apart. */
export function UserHead({ user }: { user: GetUser }) {
  const { user: t, state } = texts.value;
  const { details, contact, authenticators, schema, lock } = user;
  const names = authenticators?.usernames.map(({ username }) => username) ?? [];
  const { email, phone } = contact ?? {};
  return (
    <header class="user-head">
      <h1>{details?.id}</h1>
      {details?.id === me.value?.subject && <p>{t.you}</p>}
      <dl class="axes">
        <Fact name={t.lifecycle}>
          <StateBadge state={user.lifecycle} />
        </Fact>
        <Fact name={t.lock}>
          {lock ? <span class="badge locked">{state.locked}</span> : <span class="badge">{t.notLocked}</span>}
        </Fact>
      </dl>
      <dl class="properties">
        <Fact name={t.names}>{names.join(", ") || t.none}</Fact>
        {email && (
          <Fact name={t.email}>
            {email.address} <small>{email.isVerified ? t.verified : t.notVerified}</small>
          </Fact>
        )}
        {phone && (
          <Fact name={t.phone}>
            {phone.number} <small>{phone.isVerified ? t.verified : t.notVerified}</small>
          </Fact>
        )}
        <Fact name={t.owner}>
          <OwnerLink owner={details?.owner} />
        </Fact>
        <Fact name={t.created}>
          <When at={details?.created} />
        </Fact>
        <Fact name={t.changed}>
          <When at={details?.changed} />
        </Fact>
        {schema && (
          <Fact name={t.schema}>
            {schema.id} {schema.type !== "" && <small>{schema.type}</small>}
          </Fact>
        )}
      </dl>
    </header>
  );
}

/** One fact of a `dl`. */
export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function OwnerLink({ owner }: { owner: Owner | undefined }) {
  const { owners } = texts.value.user;
  if (owner?.type === OwnerType.ORG) {
    return (
      <>
        {owners.organization} <a href={`${pathTo("users")}?${new URLSearchParams({ org: owner.id })}`}>{owner.id}</a>
      </>
    );
  }
  return <>{owner?.type === OwnerType.SYSTEM ? owners.system : owners.instance}</>;
}

import { formatNumber, texts } from "../i18n/messages.ts";
import { Ago } from "../parts/time.tsx";
import { UserLink } from "../parts/user-link.tsx";
import { RECENT, type Summary } from "./summary.ts";
import { verdictOf } from "./verdict.ts";

/** Whether an attack is running, against whom, and from where. */
export function Banner({ summary }: { summary: Summary }) {
  const { attack: t } = texts.value;
  const { failures, usual, lockedUsers, users, networks } = summary.recent;
  const [user] = users;
  const [network] = networks;
  const last = Math.max(0, ...networks.map((one) => one.last));
  const level = verdictOf(summary);
  return (
    <section class={`verdict ${level}`} aria-labelledby="verdict">
      {/* Without the counts, so that a screen reader speaks when the verdict changes only. */}
      <div role="status">
        <h2 id="verdict">{t.levels[level]}</h2>
      </div>
      <p>
        {t.recent(failures, RECENT)}
        {usual !== undefined && ` ${t.usual(usual)}`}
        {lockedUsers > 0 && ` ${t.lockedNow(lockedUsers)}`}
        {last > 0 && (
          <>
            {" "}
            {t.last} <Ago ms={last} />.
          </>
        )}
      </p>
      {user && network && (
        <dl class="targets">
          <div>
            <dt>{t.against(users.length)}</dt>
            <dd>
              <UserLink id={user.id} /> {t.share(user.failures, failures)}
            </dd>
          </div>
          <div>
            <dt>{t.from(networks.length)}</dt>
            <dd>
              <code>{network.network || t.unknownNetwork}</code> {t.share(network.failures, failures)}
              {network.users > 1 && `, ${t.usersHit(network.users)}`}
            </dd>
          </div>
        </dl>
      )}
      {summary.standing > 0 && <p>{t.standing(formatNumber(summary.standing), summary.standing)}</p>}
    </section>
  );
}

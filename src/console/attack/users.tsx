import { pathTo } from "../core/router.ts";
import { can } from "../core/session.ts";
import { formatNumber, texts } from "../i18n/messages.ts";
import { Ago } from "../parts/time.tsx";
import { UserLink } from "../parts/user-link.tsx";
import type { UserRow } from "./summary.ts";

/** How many rows there are before somebody asks for more, and at most. */
export const FEW = 10;
export const SOME = 500;

/** The users with the most failures, and what can be done to all of them. */
export function AttackedUsers(props: {
  users: readonly UserRow[];
  /** The network whose users these are, if one is chosen. */
  network: string | undefined;
  isLong: boolean;
  onLonger(): void;
  onAct(ids: string[]): void;
}) {
  const { attack: t } = texts.value;
  const { users, network } = props;
  const rows = users.slice(0, props.isLong ? SOME : FEW);
  // The others are locked for good, or until the time that somebody chose.
  const open = rows.filter(({ lock }) => lock !== "manual").map(({ id }) => id);
  return (
    <section aria-labelledby="attacked-users">
      <div class="head">
        <h2 id="attacked-users">{network === undefined ? t.users : t.usersOf(network || t.unknownNetwork)}</h2>
        {open.length > 0 && can("user.write") && (
          <button type="button" class="danger" onClick={() => props.onAct(open)}>
            {t.lockThese(open.length)}
          </button>
        )}
      </div>
      {rows.length === 0 ? (
        <p class="empty">{t.noFailures}</p>
      ) : (
        <div class="table">
          <table>
            <caption class="hidden">{t.users}</caption>
            <thead>
              <tr>
                <th scope="col">{t.columns.user}</th>
                <th scope="col">{t.columns.failures}</th>
                <th scope="col">{t.columns.networks}</th>
                <th scope="col">{t.columns.last}</th>
                <th scope="col">{t.columns.lock}</th>
                <th scope="col">
                  <span class="hidden">{t.columns.log}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map(({ id, failures, networks, last, lock }) => (
                <tr key={id}>
                  <th scope="row">
                    <UserLink id={id} />
                  </th>
                  <td data-label={t.columns.failures}>{formatNumber(failures)}</td>
                  <td data-label={t.columns.networks}>{formatNumber(networks)}</td>
                  <td data-label={t.columns.last}>
                    <Ago ms={last} />
                  </td>
                  <td data-label={t.columns.lock}>
                    {lock === "" ? "–" : <span class="badge locked">{texts.value.cause[lock]}</span>}
                  </td>
                  <td class="actions">
                    <a href={`${pathTo("log")}?${new URLSearchParams({ user: id })}`} aria-label={t.logOf(id)}>
                      {t.log}
                    </a>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {!props.isLong && users.length > FEW && (
        <button type="button" class="quiet" onClick={props.onLonger}>
          {t.more(Math.min(users.length, SOME))}
        </button>
      )}
      {props.isLong && users.length > SOME && <p>{t.onlySome(SOME, users.length)}</p>}
    </section>
  );
}

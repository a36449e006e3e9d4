import { setQuery } from "../core/router.ts";
import { formatNumber, texts } from "../i18n/messages.ts";
import { Ago } from "../parts/time.tsx";
import type { NetworkRow } from "./summary.ts";

const FEW = 10;
/** The chosen network as the address has it, if the network is not known. */
export const UNKNOWN = "unknown";

/** The networks with the most failures. One of them can be chosen, to see its users. */
export function AttackingNetworks({
  networks,
  chosen,
}: {
  networks: readonly NetworkRow[];
  chosen: string | undefined;
}) {
  const { attack: t } = texts.value;
  const rows = networks.filter(({ network }, index) => index < FEW || network === chosen);
  return (
    <section aria-labelledby="attacking-networks">
      <div class="head">
        <h2 id="attacking-networks">{t.networks}</h2>
        {chosen !== undefined && (
          <button type="button" class="quiet" onClick={() => setQuery({ network: "" })}>
            {t.allNetworks}
          </button>
        )}
      </div>
      {rows.length === 0 ? (
        <p class="empty">{t.noFailures}</p>
      ) : (
        <div class="table">
          <table>
            <caption class="hidden">{t.networks}</caption>
            <thead>
              <tr>
                <th scope="col">{t.columns.network}</th>
                <th scope="col">{t.columns.failures}</th>
                <th scope="col">{t.columns.users}</th>
                <th scope="col">{t.columns.last}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map(({ network, failures, users, last }) => (
                <tr key={network} class={network === chosen ? "selected" : ""}>
                  <th scope="row">
                    <button
                      type="button"
                      class="chip mono"
                      aria-pressed={network === chosen}
                      title={t.choose}
                      onClick={() => setQuery({ network: network === chosen ? "" : network || UNKNOWN })}
                    >
                      {network || t.unknownNetwork}
                    </button>
                  </th>
                  <td data-label={t.columns.failures}>{formatNumber(failures)}</td>
                  <td data-label={t.columns.users}>{formatNumber(users)}</td>
                  <td data-label={t.columns.last}>
                    <Ago ms={last} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {networks.length > FEW && <p>{t.moreNetworks(networks.length - FEW)}</p>}
      {networks.length === 1 && networks[0] && networks[0].users > 1 && <p class="hint">{t.oneNetwork}</p>}
    </section>
  );
}

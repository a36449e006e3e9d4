import { useComputed, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ActDialog } from "../act/dialog.tsx";
import { onEvent, onGap } from "../core/live.ts";
import { address, pathTo, setQuery } from "../core/router.ts";
import { can } from "../core/session.ts";
import { formatNumber, formatTime, texts } from "../i18n/messages.ts";
import { Failure } from "../parts/failure.tsx";
import { now } from "../parts/time.tsx";
import { Banner } from "./banner.tsx";
import { Chart } from "./chart.tsx";
import { AttackingNetworks, UNKNOWN } from "./networks.tsx";
import { type Summary, summarize } from "./summary.ts";
import { MINUTE_MS, MINUTES, MOST } from "./tally.ts";
import { AttackedUsers } from "./users.tsx";
import { counted, failure, hear, isLoading, leave, load } from "./watch.ts";

/** How often the page is counted again without a new event, milliseconds. */
const TICK_MS = 5_000;

/** Whether an attack is running, against whom, from where; and what to do. */
export function AttackPage() {
  const { attack: t, common } = texts.value;
  const acting = useSignal<string[] | undefined>(undefined);
  const asked = address.value.searchParams.get("network");
  const network = asked === null ? undefined : asked === UNKNOWN ? "" : asked;
  const isLong = address.value.searchParams.get("all") === "1";
  const tick = useComputed(() => Math.floor(now.value / TICK_MS) * TICK_MS);

  useEffect(() => {
    const forgetEvents = onEvent(hear);
    const forgetGaps = onGap(() => void load());
    void load();
    return () => {
      forgetEvents();
      forgetGaps();
      leave();
    };
  }, []);

  const tally = counted.value?.tally;
  const summary = tally && summarize(tally, Math.max(tick.value, tally.entries.at(-1)?.at ?? 0), network);
  const isCut = tally && !isLoading.value && tally.keptSince > tick.value - (MINUTES - 1) * MINUTE_MS;
  return (
    <>
      <div class="title">
        <h1>{t.title}</h1>
        <p>{t.period}</p>
      </div>
      {failure.value !== undefined && <Failure error={failure.value} onRetry={() => void load()} />}
      {summary ? (
        <>
          <Banner summary={summary} />
          {isLoading.value && <p role="status">{t.counting}</p>}
          {isCut && (
            <p class="warning" role="status">
              {t.cut(formatNumber(MOST), formatTime(new Date(tally.keptSince)))}
            </p>
          )}
          <Chart minutes={summary.minutes} />
          <Locks locks={summary.locks} />
          <div class="columns">
            <AttackedUsers
              users={summary.users}
              network={network}
              isLong={isLong}
              onLonger={() => setQuery({ all: "1" })}
              onAct={(ids) => (acting.value = ids)}
            />
            <AttackingNetworks networks={summary.networks} chosen={network} />
          </div>
          <p class="hint">{t.unseen}</p>
        </>
      ) : (
        failure.value === undefined && <p role="status">{common.loading}</p>
      )}
      {acting.value && (
        <ActDialog action="lock" target={{ ids: acting.value }} onClose={() => (acting.value = undefined)} />
      )}
    </>
  );
}

function Locks({ locks: { manual, passwords, endless } }: { locks: Summary["locks"] }) {
  const { attack: t } = texts.value;
  return (
    <section class="attack-locks" aria-labelledby="attack-locks">
      <h2 id="attack-locks">{t.locksByCause}</h2>
      <dl>
        <div>
          <dt>{texts.value.cause.passwords}</dt>
          <dd>
            <strong>{formatNumber(passwords)}</strong>
            {endless > 0 && <small>{t.endless(endless)}</small>}
          </dd>
        </div>
        <div>
          <dt>{texts.value.cause.manual}</dt>
          <dd>
            <strong>{formatNumber(manual)}</strong>
          </dd>
        </div>
      </dl>
      <p>
        {can("user.read") && <a href={`${pathTo("users")}?state=locked&cause=passwords`}>{t.seeLocked}</a>}
        <a href={`${pathTo("log")}?${new URLSearchParams({ type: "user.login_failed" })}`}>{t.seeLog}</a>
        {can("user.read") && <a href={pathTo("policy")}>{t.seePolicy}</a>}
      </p>
    </section>
  );
}

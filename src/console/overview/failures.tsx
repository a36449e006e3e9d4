import { useEffect } from "preact/hooks";
import { minutesOf } from "../attack/summary.ts";
import { MINUTE_MS, type Tally, TYPES } from "../attack/tally.ts";
import { counted, failure, hear, isLoading, leave, load } from "../attack/watch.ts";
import { onEvent, onGap } from "../core/live.ts";
import { pathTo } from "../core/router.ts";
import { formatNumber, texts } from "../i18n/messages.ts";
import { Bars } from "../parts/bars.tsx";
import { Failure } from "../parts/failure.tsx";
import { now } from "../parts/time.tsx";

const FAILURES = TYPES.filter((type) => type === "user.login_failed" || type === "user.lock_probed").join(",");

/** The failed logins of the last hour, live, as the page of attacks counts them. */
export function Failures() {
  const { overview: t, common } = texts.value;
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

  return (
    <section class="card" aria-labelledby="failures-title">
      <div class="line">
        <h2 id="failures-title">{t.failures}</h2>
        <a href={`${pathTo("log")}?${new URLSearchParams({ type: FAILURES, last: "3600" })}`}>{t.inLog}</a>
      </div>
      {failure.value !== undefined && <Failure error={failure.value} onRetry={() => void load()} />}
      {counted.value && <Hour tally={counted.value.tally} />}
      {!counted.value && failure.value === undefined && <p>{common.loading}</p>}
      <a href={pathTo("attack")}>{t.attack}</a>
    </section>
  );
}

function Hour({ tally }: { tally: Tally }) {
  const { overview: t } = texts.value;
  // The clocks of the server and of the browser differ.
  const end = Math.max(now.value, tally.entries.at(-1)?.at ?? 0);
  const minutes = minutesOf(tally, Math.floor(end / MINUTE_MS), []);
  const counts = minutes.map(({ failures }) => failures);
  const total = formatNumber(counts.reduce((sum, count) => sum + count, 0));
  const isCut = !isLoading.value && minutes.some(({ isCounted }) => !isCounted);
  return (
    <>
      <p class="figure">
        <strong>{total}</strong> {isCut ? t.orMore : t.lastHour}
      </p>
      <Bars
        title={t.failures}
        description={t.chart(total, formatNumber(Math.max(...counts)))}
        counts={counts}
        ends={[t.hourAgo, t.now]}
      />
    </>
  );
}

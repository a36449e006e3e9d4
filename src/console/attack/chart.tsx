import { formatNumber, formatTime, texts } from "../i18n/messages.ts";
import type { Minute } from "./summary.ts";

const BAR = 10;
const GAP = 2;
const HEIGHT = 100;
/** The scale ends here at least, so that one failure does not look like a wave. */
const LEAST_TOP = 10;

/** Failures and locks by minute: bars, and the same as a table. */
export function Chart({ minutes }: { minutes: readonly Minute[] }) {
  const { attack: t } = texts.value;
  const top = Math.max(LEAST_TOP, ...minutes.map(({ failures, locks }) => Math.max(failures, locks)));
  const heightOf = (count: number) => (count === 0 ? 0 : Math.max(1, (count / top) * HEIGHT));
  const uncounted = minutes.filter(({ isCounted }) => !isCounted).length;
  const first = minutes[0]?.start ?? 0;
  return (
    <figure class="attack-chart">
      <figcaption>
        {t.chart} <span class="key failures">{t.failures}</span> <span class="key locks">{t.locks}</span>
      </figcaption>
      <div class="bars">
        <span class="scale">{formatNumber(top)}</span>
        <svg viewBox={`0 0 ${minutes.length * BAR} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
          <rect class="uncounted" x="0" y="0" width={uncounted * BAR} height={HEIGHT} />
          {minutes.map(({ start, failures, locks }, index) => (
            <g key={start}>
              <rect
                class="failures"
                x={index * BAR + GAP / 2}
                y={HEIGHT - heightOf(failures)}
                width={BAR - GAP}
                height={heightOf(failures)}
              />
              <rect
                class="locks"
                x={index * BAR + GAP / 2}
                y={HEIGHT - heightOf(locks)}
                width={BAR - GAP}
                height={heightOf(locks)}
              />
            </g>
          ))}
        </svg>
      </div>
      <div class="axis" aria-hidden="true">
        <span>{formatTime(new Date(first))}</span>
        <span>{t.now}</span>
      </div>
      <details>
        <summary>{t.asTable}</summary>
        <table class="narrow">
          <caption class="hidden">{t.chart}</caption>
          <thead>
            <tr>
              <th scope="col">{t.columns.minute}</th>
              <th scope="col">{t.columns.failures}</th>
              <th scope="col">{t.columns.locks}</th>
            </tr>
          </thead>
          <tbody>
            {minutes.toReversed().map(({ start, failures, locks, isCounted }) => (
              <tr key={start}>
                <th scope="row">
                  <time dateTime={new Date(start).toISOString()}>{formatTime(new Date(start))}</time>
                </th>
                <td>{isCounted ? formatNumber(failures) : t.notCounted}</td>
                <td>{isCounted ? formatNumber(locks) : t.notCounted}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  );
}

import { useId } from "preact/hooks";

const HEIGHT = 48;
const STEP = 4;

/** A bar for each count, as a picture with a title and a description. `ends`: what the first and the last bar mean. */
export function Bars(props: {
  title: string;
  description: string;
  counts: readonly number[];
  ends: readonly [first: string, last: string];
}) {
  const { counts, ends } = props;
  const id = useId();
  const most = Math.max(1, ...counts);
  return (
    <figure class="bar-chart">
      <svg
        viewBox={`0 0 ${counts.length * STEP} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-labelledby={`${id}-title ${id}-description`}
      >
        <title id={`${id}-title`}>{props.title}</title>
        <desc id={`${id}-description`}>{props.description}</desc>
        {counts.map((count, index) => {
          // One failure among thousands is seen, too.
          const height = count === 0 ? 0 : Math.max(2, (count / most) * HEIGHT);
          return <rect key={index} x={index * STEP} y={HEIGHT - height} width={STEP - 1} height={height} />;
        })}
      </svg>
      <figcaption aria-hidden="true">
        <span>{ends[0]}</span>
        <span>{ends[1]}</span>
      </figcaption>
    </figure>
  );
}

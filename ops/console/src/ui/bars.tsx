// Runs over time: a stacked bar a stretch.
import type { Bar } from "../lib/sample";
import { clock } from "../lib/time";

const WIDTH = 400;
const HEIGHT = 72;

export function Bars({ bars }: { bars: readonly Bar[] }) {
  const most = Math.max(1, ...bars.map(total));
  const width = WIDTH / bars.length;
  const first = bars[0];
  const last = bars.at(-1);
  const sum = bars.reduce((all, bar) => all + total(bar), 0);
  return (
    <figure className="bars">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${sum} runs over time`}
      >
        {bars.map((bar, index) => {
          const parts = [
            { kind: "good", count: bar.good },
            { kind: "bad", count: bar.bad },
          ];
          let top = HEIGHT;
          return (
            <g key={bar.from}>
              <title>{`${clock(new Date(bar.from).toISOString())}: ${bar.good} succeeded, ${bar.bad} not`}</title>
              <rect x={index * width} y={0} width={width} height={HEIGHT} className="bar-ground" />
              {parts.map(({ kind, count }) => {
                const height = (count / most) * (HEIGHT - 4);
                top -= height;
                return (
                  <rect
                    key={kind}
                    x={index * width + 1}
                    y={top}
                    width={width - 2}
                    height={height}
                    className={`bar ${kind}`}
                  />
                );
              })}
            </g>
          );
        })}
      </svg>
      <figcaption>
        <span>{first === undefined ? "" : new Date(first.from).toLocaleString()}</span>
        <span>{last === undefined ? "" : new Date(last.to).toLocaleString()}</span>
      </figcaption>
    </figure>
  );
}

function total({ good, bad }: Bar): number {
  return good + bad;
}

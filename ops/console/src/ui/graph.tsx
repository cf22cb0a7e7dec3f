// A graph in layers, from left to right.
import type { Task } from "../lib/graph";
import { spaced } from "../lib/words";

const WIDTH = 168;
const HEIGHT = 44;
const GAP_X = 56;
const GAP_Y = 16;

interface GraphProps {
  layers: readonly (readonly Task[])[];
  /** By the task's name. */
  onChoose?: (name: string) => void;
}

export function Graph({ layers, onChoose }: GraphProps) {
  const tallest = Math.max(...layers.map((layer) => layer.length));
  const places = new Map<string, { x: number; y: number }>();
  layers.forEach((layer, column) => {
    const offset = ((tallest - layer.length) * (HEIGHT + GAP_Y)) / 2;
    layer.forEach(({ name }, row) =>
      places.set(name, { x: column * (WIDTH + GAP_X), y: offset + row * (HEIGHT + GAP_Y) }),
    );
  });
  const width = layers.length * (WIDTH + GAP_X) - GAP_X;
  const height = tallest * (HEIGHT + GAP_Y) - GAP_Y;
  const tasks = layers.flat();
  return (
    <div className="graph" tabIndex={0} role="region" aria-label="graph of the steps">
      <svg
        width={width + 2}
        height={height + 2}
        viewBox={`-1 -1 ${width + 2} ${height + 2}`}
        role="img"
        aria-label={told(tasks)}
      >
        {tasks.flatMap(({ name, parents }) =>
          parents.map((parent) => <Edge key={`${parent} ${name}`} from={places.get(parent)} to={places.get(name)} />),
        )}
        {tasks.map(({ name, title = name, step, condition, state }) => {
          const { x, y } = places.get(name) ?? { x: 0, y: 0 };
          return (
            <g
              key={name}
              transform={`translate(${x} ${y})`}
              className={onChoose === undefined ? undefined : "chosen-by-click"}
              onClick={() => onChoose?.(name)}
            >
              <title>
                {`${title}: ${step}${condition === undefined ? "" : `, left out if ${condition}`}${
                  state === undefined ? "" : `, ${spaced(state)}`
                }`}
              </title>
              <rect
                width={WIDTH}
                height={HEIGHT}
                rx={6}
                className={`node ${condition === undefined ? "" : "conditional"} ${state ?? ""}`}
              />
              <text x={12} y={19} className="node-name">
                {cut(title)}
              </text>
              <text x={12} y={34} className="node-step">
                {cut(step)}
              </text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}

function Edge({ from, to }: { from: { x: number; y: number } | undefined; to: { x: number; y: number } | undefined }) {
  if (from === undefined || to === undefined) return null;
  const [x1, y1, x2, y2] = [from.x + WIDTH, from.y + HEIGHT / 2, to.x, to.y + HEIGHT / 2];
  const bend = (x1 + x2) / 2;
  return <path className="edge" d={`M${x1} ${y1}C${bend} ${y1} ${bend} ${y2} ${x2} ${y2}`} />;
}

function told(tasks: readonly Task[]): string {
  const titles = new Map(tasks.map(({ name, title = name }) => [name, title]));
  return tasks
    .map(({ name, title = name, parents, state }) => {
      const after =
        parents.length === 0 ? "" : ` after ${parents.map((parent) => titles.get(parent) ?? parent).join(", ")}`;
      return `${title}${after}${state === undefined ? "" : `: ${spaced(state)}`}`;
    })
    .join("; ");
}

function cut(text: string): string {
  return text.length > 22 ? `${text.slice(0, 21)}…` : text;
}

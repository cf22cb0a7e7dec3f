// The next instants of a schedule, as clocks in its zone show them.
import { hasSeconds, zoned } from "../lib/schedules";
import { Ago } from "./basics";

export function NextFires({ next }: { next: readonly string[] }) {
  const seconds = next.some(hasSeconds);
  return (
    <ol className="rows" aria-label="next fires">
      {next.map((at) => (
        <li key={at}>
          <span className="clip mono">{zoned(at, seconds)}</span>
          <Ago at={at} />
        </li>
      ))}
    </ol>
  );
}

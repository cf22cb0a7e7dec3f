// The next instants of a schedule, as clocks in its zone show them.
import { zoned } from "../lib/schedules";
import { Ago } from "./basics";

export function NextFires({ next }: { next: readonly string[] }) {
  return (
    <ol className="rows" aria-label="next fires">
      {next.map((at) => (
        <li key={at}>
          <span className="clip mono">{zoned(at)}</span>
          <Ago at={at} />
        </li>
      ))}
    </ol>
  );
}

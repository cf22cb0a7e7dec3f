// What the run said of itself, and what went wrong in it.
import type { Schemas } from "../../api/client";
import type { StreamState } from "../../api/journal-stream";
import type { Line } from "../../lib/journal";
import { clock, duration } from "../../lib/time";
import { Empty, Loading } from "../../ui/basics";
import { LongTable } from "../../ui/table";

const ROW_PX = 33;

interface LogsProps {
  run: Schemas["RunDetail"];
  lines: readonly Line[];
  state: StreamState;
}

export function Logs({ run, lines, state }: LogsProps) {
  if (lines.length === 0) {
    if (state === "opening") return <Loading />;
    return (
      <Empty title="It has said nothing yet.">
        <p>
          What workflow code says with <code>ctx.log</code> and <code>ctx.status</code> shows here, and each attempt
          that failed.
        </p>
      </Empty>
    );
  }
  return (
    <LongTable
      label="logs"
      rows={lines}
      rowKey={({ id }) => id}
      rowHeight={ROW_PX}
      rowClass={({ mark }) => (mark === "bad" || mark === "retry" ? "bad" : undefined)}
      columns={[
        { name: "time", wideOnly: true, className: "mono", cell: (line) => clock(line.at) },
        {
          name: "after",
          align: "right",
          className: "faint",
          cell: (line) => duration(Date.parse(line.at) - Date.parse(run.created_at)),
        },
        {
          name: "what",
          className: "grow",
          cell: (line) => (
            <span className="clip" title={line.words}>
              <span className={`mark ${line.mark}`} aria-hidden="true" />
              {line.words}
            </span>
          ),
        },
      ]}
    />
  );
}

// The journal itself: what is recorded, entry by entry. A run's state is the fold of these lines, and nothing else.
import { useState } from "react";
import type { Schemas } from "../../api/client";
import type { StreamState } from "../../api/journal-stream";
import { useMay } from "../../api/session";
import type { Line } from "../../lib/journal";
import { clock, duration } from "../../lib/time";
import { spaced } from "../../lib/words";
import { Button, Empty, JsonView, Loading } from "../../ui/basics";
import { Dialog } from "../../ui/dialog";
import { type Column, LongTable } from "../../ui/table";
import { Fork } from "./actions";

const ROW_PX = 35;

interface JournalProps {
  run: Schemas["RunDetail"];
  lines: readonly Line[];
  state: StreamState;
}

export function Journal({ run, lines, state }: JournalProps) {
  const [shown, setShown] = useState<Line>();
  const [forked, setForked] = useState<Line>();
  const may = useMay();
  if (lines.length === 0) return state === "broken" ? <Broken /> : <Loading />;
  const columns: Column<Line>[] = [
    { name: "#", align: "right", className: "mono faint", cell: (line) => line.number },
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
    { name: "kind", wideOnly: true, className: "faint", cell: (line) => spaced(line.kind) },
    {
      name: "actions",
      hidden: true,
      align: "right",
      cell: (line) => (
        <span className="row-actions">
          <Button look="quiet" aria-label={`show entry ${line.number}`} onClick={() => setShown(line)}>
            Show
          </Button>
          {may("operate") && (
            <Button
              look="quiet"
              icon="fork"
              aria-label={`fork from entry ${line.number}`}
              onClick={() => setForked(line)}
            >
              Fork
            </Button>
          )}
        </span>
      ),
    },
  ];
  return (
    <>
      {state === "broken" && <Broken />}
      <LongTable label="journal" rows={lines} rowKey={({ id }) => id} rowHeight={ROW_PX} columns={columns} />
      {shown !== undefined && (
        <Dialog title={`Entry ${shown.number}: ${spaced(shown.kind)}`} wide onClose={() => setShown(undefined)}>
          <JsonView value={shown.fields} label="the entry" />
        </Dialog>
      )}
      {forked !== undefined && <Fork run={run} entry={forked.number} onClose={() => setForked(undefined)} />}
    </>
  );
}

function Broken() {
  return <Empty title="The stream of the journal is broken; it is opened again by itself." />;
}

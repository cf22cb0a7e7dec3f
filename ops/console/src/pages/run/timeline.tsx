// What the run did when: a row an operation, its attempts as bars, and what is behind the row that is chosen.
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { Schemas } from "../../api/client";
import type { Attempt, Story } from "../../lib/journal";
import { dollars } from "../../lib/money";
import { between, duration } from "../../lib/time";
import { spaced } from "../../lib/words";
import { type Row, rowsOf, ticks } from "../../lib/waterfall";
import { Button, Empty } from "../../ui/basics";
import { useNow } from "../../ui/now";
import { StepPanel } from "./step-panel";

type Detail = Schemas["RunDetail"];

/** Rows that are drawn unless all are asked for: they are drawn anew with every second. */
const ROWS_MAX = 300;

interface TimelineProps {
  run: Detail;
  story: Story;
  /** Without it only steps are known, and not their earlier attempts. */
  hasJournal: boolean;
}

export function Timeline({ run, story, hasJournal }: TimelineProps) {
  const now = useNow();
  const { step } = useSearch({ from: "/runs/$id" });
  const navigate = useNavigate({ from: "/runs/$id" });
  const [all, setAll] = useState(false);
  const known = useMemo(() => rowsOf(run.steps, story.spans), [run.steps, story.spans]);
  const rows = all ? known : known.slice(-ROWS_MAX);
  const chosen = rows.find(({ seq }) => seq === step);
  const choose = (seq: number | undefined) =>
    void navigate({ search: (before) => ({ ...before, step: seq === step ? undefined : seq }), replace: true });
  if (rows.length === 0) {
    return (
      <Empty title={run.ended_at == null ? "No step yet." : "The run ended without a step."}>
        {run.ended_at == null && <p>It is queued, or its code has not asked for one.</p>}
      </Empty>
    );
  }
  const [first] = rows;
  const from = Date.parse(rows.length < known.length && first !== undefined ? first.from : run.created_at);
  const latest = Math.max(
    ...rows
      .flatMap(({ attempts, to }) => [to, ...attempts.map((one) => one.nextAt)])
      .map((at) => (at == null ? 0 : Date.parse(at))),
  );
  const to = Math.max(from + 1, run.ended_at == null ? Math.max(now, latest) : Date.parse(run.ended_at));
  const scale: Scale = { from, width: to - from };
  return (
    <div className={chosen === undefined ? "timeline" : "timeline split"}>
      <div className="waterfall" role="region" aria-label="timeline">
        <div className="ticks" aria-hidden="true">
          <span />
          <div className="lane">
            {ticks(scale.width).map((at) => (
              <span key={at} style={{ left: `${(at / scale.width) * 100}%` }}>
                {at === 0 ? "0" : duration(at)}
              </span>
            ))}
          </div>
          <span />
        </div>
        {rows.length < known.length && (
          <Button look="quiet" onClick={() => setAll(true)}>
            Show the {(known.length - rows.length).toLocaleString()} before
          </Button>
        )}
        {rows.map((row) => (
          <button
            key={row.seq}
            type="button"
            className={`span-row ${row.state}`}
            aria-pressed={row.seq === step}
            onClick={() => choose(row.seq)}
          >
            <span className="span-name">
              <span className={`dot ${row.state}`} />
              <span className="clip">
                {row.kind !== "step" && <em>{row.kind} </em>}
                {row.name}
              </span>
              {row.attempts.length > 1 && (
                <span className="count quiet" title="attempts">
                  ×{row.attempts.length}
                </span>
              )}
              {row.isCleanup && <span className="tag">clean-up</span>}
            </span>
            <span className="lane">
              <Segments row={row} scale={scale} now={now} />
            </span>
            <span className="span-took">{duration(between(row.from, row.to, now))}</span>
          </button>
        ))}
        {!hasJournal && <p className="hint">Without the journal, earlier attempts and waits are not shown.</p>}
        <Legend rows={rows} />
        <Spent story={story} />
      </div>
      {chosen !== undefined && (
        <StepPanel run={run} row={chosen} lines={story.lines} onClose={() => choose(undefined)} />
      )}
    </div>
  );
}

interface Scale {
  from: number;
  width: number;
}

function place(scale: Scale, from: number, to: number) {
  const left = Math.max(0, (from - scale.from) / scale.width) * 100;
  const width = Math.max(0, (Math.min(to, scale.from + scale.width) - Math.max(from, scale.from)) / scale.width) * 100;
  return { left: `${left}%`, width: `${width}%` };
}

function Segments({ row, scale, now }: { row: Row; scale: Scale; now: number }) {
  const end = (at: string | undefined) => (at === undefined ? now : Date.parse(at));
  if (row.attempts.length === 0) {
    return (
      <span
        className={`segment ${row.kind === "step" ? row.state : "waiting"}`}
        style={place(scale, Date.parse(row.from), end(row.to))}
      />
    );
  }
  return row.attempts.map((attempt) => (
    <span key={attempt.number}>
      <span
        className={`segment ${segmentState(attempt, row)}`}
        style={place(scale, Date.parse(attempt.from), end(attempt.to))}
        title={`attempt ${attempt.number}: ${spaced(attempt.state)}${attempt.error === undefined ? "" : ` (${attempt.error})`}`}
      />
      {attempt.nextAt !== undefined && attempt.to !== undefined && (
        <span
          className="segment backing_off"
          style={place(scale, Date.parse(attempt.to), Date.parse(attempt.nextAt))}
          title="backs off"
        />
      )}
    </span>
  ));
}

function segmentState(attempt: Attempt, row: Row): string {
  return attempt.state === "running" ? (row.state === "ready" ? "ready" : "running") : attempt.state;
}

const LEGEND: { state: string; means: string; shown: (row: Row) => boolean }[] = [
  { state: "done", means: "succeeded", shown: ({ state }) => state === "succeeded" },
  { state: "running", means: "with a worker", shown: ({ state }) => state === "running" },
  { state: "ready", means: "waits for a worker", shown: ({ state }) => state === "ready" },
  {
    state: "failed",
    means: "failed",
    shown: ({ attempts, state }) => state === "failed" || attempts.some((one) => one.state === "failed"),
  },
  {
    state: "lost",
    means: "its worker vanished",
    shown: ({ attempts }) => attempts.some((one) => one.state === "lost"),
  },
  {
    state: "backing_off",
    means: "backs off",
    shown: ({ attempts }) => attempts.some((one) => one.nextAt !== undefined),
  },
  { state: "waiting", means: "waits", shown: ({ kind }) => kind !== "step" },
];

function Legend({ rows }: { rows: readonly Row[] }) {
  return (
    <ul className="legend">
      {LEGEND.filter(({ shown }) => rows.some(shown)).map(({ state, means }) => (
        <li key={state}>
          <span className={`segment ${state}`} /> {means}
        </li>
      ))}
    </ul>
  );
}

function Spent({ story }: { story: Story }) {
  if (story.spent.size === 0) return null;
  return (
    <p className="hint">
      Paid: {[...story.spent].map(([what, micros]) => `${dollars(micros)} for ${what}`).join(", ")}
    </p>
  );
}

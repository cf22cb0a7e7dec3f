// What the run did when: a row an operation, its attempts as bars, and what is behind the row that is chosen.
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type UIEvent, useEffect, useMemo, useRef } from "react";
import type { Schemas } from "../../api/client";
import type { Attempt, Story } from "../../lib/journal";
import { dollars } from "../../lib/money";
import { between, duration } from "../../lib/time";
import { spaced } from "../../lib/words";
import { type Row, rowsOf, ticks } from "../../lib/waterfall";
import { Empty } from "../../ui/basics";
import { useNow } from "../../ui/now";
import { StepPanel } from "./step-panel";

type Detail = Schemas["RunDetail"];

/** Of more rows than that only those are there that are in sight: they are drawn anew with every second. */
const ROWS_PLAIN_MAX = 60;
const ROW_PX = 30;

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
  const rows = useMemo(() => rowsOf(run.steps, story.spans), [run.steps, story.spans]);
  const latest = useMemo(
    () =>
      rows.reduce((until, { to, attempts }) => {
        const ends = [to, ...attempts.map((one) => one.nextAt)].map((at) => (at == null ? 0 : Date.parse(at)));
        return Math.max(until, ...ends);
      }, 0),
    [rows],
  );
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
  const from = Date.parse(run.created_at);
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
        {rows.length > ROWS_PLAIN_MAX ? (
          <LongRows rows={rows} scale={scale} now={now} chosen={step} onChoose={choose} />
        ) : (
          rows.map((row) => (
            <SpanRow key={row.seq} row={row} scale={scale} now={now} isChosen={row.seq === step} onChoose={choose} />
          ))
        )}
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

interface SpanRowProps {
  row: Row;
  scale: Scale;
  now: number;
  isChosen: boolean;
  onChoose: (seq: number) => void;
}

function SpanRow({ row, scale, now, isChosen, onChoose }: SpanRowProps) {
  return (
    <button type="button" className={`span-row ${row.state}`} aria-pressed={isChosen} onClick={() => onChoose(row.seq)}>
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
  );
}

interface LongRowsProps {
  rows: readonly Row[];
  scale: Scale;
  now: number;
  chosen: number | undefined;
  onChoose: (seq: number) => void;
}

/** Begins with the latest ones, and stays with them until somebody scrolls up. */
function LongRows({ rows, scale, now, chosen, onChoose }: LongRowsProps) {
  "use no memo";
  const frame = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  useEffect(() => {
    if (isAtEnd.current) frame.current?.scrollTo({ top: rows.length * ROW_PX });
  }, [rows.length]);
  const scrolled = ({ currentTarget: { scrollTop, clientHeight, scrollHeight } }: UIEvent) => {
    isAtEnd.current = scrollTop + clientHeight >= scrollHeight - ROW_PX;
  };
  // The library's object is not to be memoized, and is not: see the directive above.
  // eslint-disable-next-line react-hooks/incompatible-library
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW_PX,
    overscan: 8,
  });
  const items = virtual.getVirtualItems();
  const above = items[0]?.start ?? 0;
  return (
    <div
      className="long-rows"
      ref={frame}
      tabIndex={0}
      role="region"
      aria-label={`${rows.length} operations`}
      onScroll={scrolled}
    >
      <div style={{ height: virtual.getTotalSize() }}>
        <div style={{ transform: `translateY(${above}px)` }}>
          {items.map(({ index }) => {
            const row = rows[index];
            if (row === undefined) return null;
            const isChosen = row.seq === chosen;
            return <SpanRow key={row.seq} row={row} scale={scale} now={now} isChosen={isChosen} onChoose={onChoose} />;
          })}
        </div>
      </div>
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
  if (attempt.state !== "running") return attempt.state;
  return row.state === "ready" || row.state === "blocked" ? row.state : "running";
}

const LEGEND: { state: string; means: string; shown: (row: Row) => boolean }[] = [
  { state: "done", means: "succeeded", shown: ({ state }) => state === "succeeded" },
  { state: "running", means: "with a worker", shown: ({ state }) => state === "running" },
  { state: "ready", means: "waits for a worker", shown: ({ state }) => state === "ready" },
  { state: "blocked", means: "waits for a slot of a limit", shown: ({ state }) => state === "blocked" },
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

// What is done to the chosen runs, or to all that fit the filters.
import { useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { api, type Schemas, told } from "../api/client";
import { type Progress, toEach } from "../lib/bulk";
import type { RunFilter } from "../lib/filters";
import { plural } from "../lib/words";
import { Button, RunLink, sentence } from "./basics";
import { Ask } from "./dialog";
import type { IconName } from "./icon";

type Run = Schemas["RunSummary"];
type Verb = "pause" | "resume" | "cancel" | "retry";

interface Kind {
  verb: Verb;
  name: string;
  icon: IconName;
  danger: boolean;
  /** Whether it can be done to a run; others are passed over. */
  fits: (run: Run) => boolean;
}

const isLive = (run: Run) => run.ended_at == null;

const KINDS: Kind[] = [
  { verb: "pause", name: "Pause", icon: "pause", danger: false, fits: (run) => isLive(run) && !run.paused },
  { verb: "resume", name: "Resume", icon: "play", danger: false, fits: (run) => isLive(run) && run.paused },
  { verb: "retry", name: "Retry", icon: "retry", danger: false, fits: isLive },
  { verb: "cancel", name: "Cancel", icon: "stop", danger: true, fits: isLive },
];

/** Rows that are read at once, and the most that one action is for. */
const PAGE_ROWS = 200;
const RUNS_MAX = 20_000;
/** Failures that are shown one by one. */
const SHOWN = 5;

interface BulkProps {
  filter: RunFilter;
  chosen: ReadonlySet<string>;
  runs: readonly Run[];
  onDone: () => void;
}

export function BulkActions({ filter, chosen, runs, onDone }: BulkProps) {
  const [kind, setKind] = useState<Kind>();
  const isFiltered = Object.keys(filter).length > 0;
  if (chosen.size === 0 && !isFiltered) return null;
  return (
    <div className="bulk" role="toolbar" aria-label="actions on several runs">
      <span>{chosen.size > 0 ? `${plural(chosen.size, "run")} chosen` : "All that fit the filters"}</span>
      {KINDS.map((one) => (
        <Button key={one.verb} icon={one.icon} look="quiet" onClick={() => setKind(one)}>
          {one.name}
        </Button>
      ))}
      {kind !== undefined && (
        <BulkDialog
          kind={kind}
          filter={filter}
          chosen={chosen.size > 0 ? runs.filter(({ id }) => chosen.has(id)) : undefined}
          onClose={() => setKind(undefined)}
          onDone={onDone}
        />
      )}
    </div>
  );
}

interface BulkDialogProps {
  kind: Kind;
  filter: RunFilter;
  /** `undefined`: all that fit the filters. */
  chosen: readonly Run[] | undefined;
  onClose: () => void;
  onDone: () => void;
}

function BulkDialog({ kind, filter, chosen, onClose, onDone }: BulkDialogProps) {
  const client = useQueryClient();
  const [reason, setReason] = useState("");
  const [progress, setProgress] = useState<Progress>();
  const [error, setError] = useState<unknown>();
  const [state, setState] = useState<"asking" | "working" | "done">("asking");
  const stop = useRef(new AbortController());
  const work = async () => {
    setState("working");
    setError(undefined);
    try {
      const runs = chosen ?? (await all(filter, stop.current.signal));
      const ids = runs.filter(kind.fits).map(({ id }) => id);
      const end = await toEach(ids, (id) => act(kind.verb, id, reason), setProgress, stop.current.signal);
      setProgress(end);
      setState("done");
    } catch (problem) {
      setError(problem);
      setState("asking");
    }
    void client.invalidateQueries({ queryKey: ["runs"] });
  };
  const close = () => {
    stop.current.abort();
    if (state === "done") onDone();
    onClose();
  };
  const whose = chosen === undefined ? "all runs that fit the filters" : plural(chosen.length, "run");
  return (
    <Ask
      title={`${kind.name} ${whose}`}
      action={state === "done" ? "Close" : state === "working" ? "Working…" : kind.name}
      leave={state === "working" ? "Stop" : "Not now"}
      danger={kind.danger && state === "asking"}
      busy={state === "working"}
      error={error}
      onClose={close}
      onSubmit={state === "done" ? close : () => void work()}
    >
      {state === "asking" && (
        <>
          <p>Runs that this does not apply to are passed over. Closing this stops between two runs.</p>
          {kind.verb === "cancel" && (
            <div className="field">
              <label htmlFor="bulk-reason">Reason, for the journal</label>
              <input id="bulk-reason" value={reason} onChange={(event) => setReason(event.target.value)} />
            </div>
          )}
        </>
      )}
      {state !== "asking" && <Shown progress={progress} done={state === "done"} />}
    </Ask>
  );
}

function Shown({ progress, done }: { progress: Progress | undefined; done: boolean }) {
  if (progress === undefined) return <p role="status">looking for the runs…</p>;
  const { total, failed } = progress;
  return (
    <div className="stack">
      <progress className="wide" value={progress.done + failed.length} max={Math.max(1, total)} aria-label="progress" />
      <p role="status">
        {total === 0 && done ? "It applies to none of them." : `${progress.done} of ${plural(total, "run")} done`}
        {failed.length > 0 && `, ${failed.length} refused`}
      </p>
      {failed.slice(0, SHOWN).map(({ id, error }) => (
        <p key={id} className="hint">
          <RunLink id={id} />: {sentence(error)}
        </p>
      ))}
    </div>
  );
}

async function all(filter: RunFilter, signal: AbortSignal): Promise<Run[]> {
  const found: Run[] = [];
  let cursor: string | null = null;
  do {
    const query: RunFilter & { limit: number; cursor?: string } = { ...filter, limit: PAGE_ROWS };
    if (cursor !== null) query.cursor = cursor;
    const page: Schemas["RunPage"] = await told(api.GET("/api/v1/runs", { params: { query }, signal }));
    found.push(...page.runs);
    cursor = page.next_cursor ?? null;
  } while (cursor !== null && found.length < RUNS_MAX);
  return found;
}

function act(verb: Verb, id: string, reason: string): Promise<unknown> {
  const params = { path: { id } };
  switch (verb) {
    case "pause":
      return told(api.POST("/api/v1/runs/{id}/pause", { params }));
    case "resume":
      return told(api.POST("/api/v1/runs/{id}/resume", { params }));
    case "retry":
      return told(api.POST("/api/v1/runs/{id}/retry", { params }));
    case "cancel":
      return told(api.POST("/api/v1/runs/{id}/cancel", { params, body: { reason } }));
  }
}

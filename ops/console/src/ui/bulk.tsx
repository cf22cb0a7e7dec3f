// What is done to the chosen runs, or to all that fit the filters.
import { useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useRef, useState } from "react";
import type { BulkAction } from "../api/bulk-operations";
import { api, type Schemas, told } from "../api/client";
import { useMay } from "../api/session";
import { type Progress, toEach } from "../lib/bulk";
import { type ActionKind, ACTIONS } from "../lib/bulk-operations";
import type { RunFilter } from "../lib/filters";
import { plural } from "../lib/words";
import { Button, RunLink, sentence } from "./basics";
import { BulkStart } from "./bulk-start";
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

/** Failures that are shown one by one. */
const SHOWN = 5;

interface BulkProps {
  filter: RunFilter;
  chosen: ReadonlySet<string>;
  runs: readonly Run[];
  onDone: () => void;
}

const ICONS: Record<BulkAction, IconName> = {
  pause: "pause",
  resume: "play",
  retry: "retry",
  fork: "fork",
  cancel: "stop",
  delete: "close",
};

export function BulkActions({ filter, chosen, runs, onDone }: BulkProps) {
  if (chosen.size > 0) {
    return <OfChosen chosen={runs.filter(({ id }) => chosen.has(id))} onDone={onDone} />;
  }
  return Object.keys(filter).length > 0 ? <OfAll filter={filter} /> : null;
}

/** Done by the engine, which goes on with it whoever looks. */
function OfAll({ filter }: { filter: RunFilter }) {
  const may = useMay();
  const [kind, setKind] = useState<ActionKind>();
  return (
    <div className="bulk" role="toolbar" aria-label="actions on several runs">
      <span>All that fit the filters</span>
      {ACTIONS.filter(({ scope }) => may(scope)).map((one) => (
        <Button key={one.action} icon={ICONS[one.action]} look="quiet" onClick={() => setKind(one)}>
          {one.name}
        </Button>
      ))}
      <Link to="/bulk-operations" className="button quiet">
        Those before
      </Link>
      {kind !== undefined && <BulkStart kind={kind} filter={filter} onClose={() => setKind(undefined)} />}
    </div>
  );
}

/** Done from here, one by one: they are few, and were chosen by hand. */
function OfChosen({ chosen, onDone }: { chosen: readonly Run[]; onDone: () => void }) {
  const [kind, setKind] = useState<Kind>();
  return (
    <div className="bulk" role="toolbar" aria-label="actions on several runs">
      <span>{plural(chosen.length, "run")} chosen</span>
      {KINDS.map((one) => (
        <Button key={one.verb} icon={one.icon} look="quiet" onClick={() => setKind(one)}>
          {one.name}
        </Button>
      ))}
      {kind !== undefined && (
        <BulkDialog kind={kind} chosen={chosen} onClose={() => setKind(undefined)} onDone={onDone} />
      )}
    </div>
  );
}

interface BulkDialogProps {
  kind: Kind;
  chosen: readonly Run[];
  onClose: () => void;
  onDone: () => void;
}

function BulkDialog({ kind, chosen, onClose, onDone }: BulkDialogProps) {
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
      const ids = chosen.filter(kind.fits).map(({ id }) => id);
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
  return (
    <Ask
      title={`${kind.name} ${plural(chosen.length, "run")}`}
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
  if (progress === undefined) return <p role="status">working…</p>;
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

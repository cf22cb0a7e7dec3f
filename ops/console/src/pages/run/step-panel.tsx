// What is behind a row of the timeline, and what an operator does with a step.
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api, type Schemas, told } from "../../api/client";
import { useMay } from "../../api/session";
import type { Line } from "../../lib/journal";
import { dollars } from "../../lib/money";
import { decisionOf } from "../../lib/tiers";
import { between, clock, duration } from "../../lib/time";
import { spaced } from "../../lib/words";
import { OPEN_TO_OPERATORS, type Row } from "../../lib/waterfall";
import { useAct } from "../../ui/act";
import { Button, Fact, Facts, JsonView, StatusBadge } from "../../ui/basics";
import { Ask } from "../../ui/dialog";
import { useNow } from "../../ui/now";
import { JsonInput } from "../../ui/schema-form";
import { Fork } from "./actions";
import { TierReasons } from "./tier";

type Detail = Schemas["RunDetail"];
type Step = Schemas["StepView"];

interface StepPanelProps {
  run: Detail;
  row: Row;
  lines: readonly Line[];
  onClose: () => void;
}

export function StepPanel({ run, row, lines, onClose }: StepPanelProps) {
  const now = useNow();
  const may = useMay();
  const { step } = row;
  const decision = step === undefined ? undefined : decisionOf(step);
  const task = run.tasks.find(({ reason }) => row.kind === "person" && reason === row.name && run.tasks.length > 0);
  return (
    <aside className="panel" aria-label={`${row.kind} ${row.name}`}>
      <header>
        <h2>{row.name}</h2>
        <Button look="quiet" icon="close" aria-label="close" onClick={onClose} />
      </header>
      <Facts>
        <Fact name="state">
          <StatusBadge status={row.state} />
        </Fact>
        <Fact name="kind">{row.kind}</Fact>
        <Fact name="entry">{row.seq}</Fact>
        {step !== undefined && <Fact name="queue">{step.queue}</Fact>}
        <Fact name="asked for">{clock(row.from)}</Fact>
        <Fact name={row.to === undefined ? "for" : "took"}>{duration(between(row.from, row.to, now))}</Fact>
        {row.micros > 0 && <Fact name="cost">{dollars(row.micros)}</Fact>}
      </Facts>
      {may("operate") && <ForkFromHere run={run} row={row} lines={lines} />}
      {step !== undefined && may("operate") && run.ended_at == null && OPEN_TO_OPERATORS.includes(step.state) && (
        <StepActions run={run} step={step} />
      )}
      {task !== undefined && (
        <p>
          <Link to="/inbox/$id" params={{ id: task.id }}>
            {task.title}
          </Link>
        </p>
      )}
      {row.attempts.length > 0 && (
        <>
          <h3>Attempts</h3>
          <ol className="attempts">
            {row.attempts.map((attempt) => (
              <li key={attempt.number}>
                <span className={`dot ${attempt.state}`} />
                <span>
                  {spaced(attempt.state)} <small>{duration(between(attempt.from, attempt.to, now))}</small>
                  {attempt.error !== undefined && <p className="hint">{attempt.error}</p>}
                </span>
              </li>
            ))}
          </ol>
        </>
      )}
      {step?.error != null && (
        <>
          <h3>Error</h3>
          <p className="fault">
            <code>{step.error.code}</code> {step.error.message}
          </p>
          {step.error.details != null && <JsonView value={step.error.details} label="details of the error" />}
        </>
      )}
      {decision !== undefined && (
        <>
          <h3>Why this tier</h3>
          <TierReasons decision={decision} />
        </>
      )}
      {step?.output !== undefined && decision === undefined && (
        <>
          <h3>Output</h3>
          <JsonView value={step.output} label="output" />
        </>
      )}
      {step !== undefined && (
        <>
          <h3>Input</h3>
          <JsonView value={step.input} label="input" />
        </>
      )}
    </aside>
  );
}

/** Another run that has all before this, and does this and the rest anew. */
function ForkFromHere({ run, row, lines }: { run: Detail; row: Row; lines: readonly Line[] }) {
  const [asked, setAsked] = useState(false);
  const asking = lines.findLast(({ seq, kind }) => seq === row.seq && kind === "op");
  if (asking === undefined) return null;
  return (
    <div className="actions">
      <Button icon="fork" onClick={() => setAsked(true)}>
        Fork from here
      </Button>
      {asked && <Fork run={run} entry={asking.number - 1} onClose={() => setAsked(false)} />}
    </div>
  );
}

function StepActions({ run, step }: { run: Detail; step: Step }) {
  const [asked, setAsked] = useState<"edit" | "skip">();
  const close = () => setAsked(undefined);
  const retry = useAct({
    run: () => told(api.POST("/api/v1/runs/{id}/retry", { params: { path: { id: run.id } } })),
    done: "It tries again.",
    tellFailure: true,
  });
  return (
    <div className="actions">
      {step.state === "parked" && (
        <Button icon="retry" look="main" onClick={() => retry.mutate()} disabled={retry.isPending}>
          Retry
        </Button>
      )}
      <Button icon="edit" onClick={() => setAsked("edit")}>
        Edit input
      </Button>
      <Button icon="skip" onClick={() => setAsked("skip")}>
        Skip
      </Button>
      {asked === "edit" && <Edit run={run} step={step} onClose={close} />}
      {asked === "skip" && <Skip run={run} step={step} onClose={close} />}
    </div>
  );
}

interface AskedProps {
  run: Detail;
  step: Step;
  onClose: () => void;
}

function Edit({ run, step, onClose }: AskedProps) {
  const [input, setInput] = useState<unknown>(step.input);
  const act = useAct({
    run: () => {
      const params = { path: { id: run.id, seq: step.seq } };
      return told(api.PUT("/api/v1/runs/{id}/steps/{seq}/input", { params, body: { input } }));
    },
    done: "Its next attempt has the new input.",
    after: onClose,
  });
  return (
    <Ask
      title={`Input of ${step.name}`}
      action="Change the input"
      wide
      busy={act.isPending}
      error={act.error}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>
        For the next attempt, in the shape that its worker reads. A step that ran out of attempts then wants a retry.
      </p>
      <div className="field">
        <label htmlFor="step-input">Input</label>
        <JsonInput id="step-input" value={input} onChange={setInput} rows={16} />
      </div>
    </Ask>
  );
}

function Skip({ run, step, onClose }: AskedProps) {
  const [output, setOutput] = useState<unknown>(null);
  const act = useAct({
    run: () => {
      const params = { path: { id: run.id, seq: step.seq } };
      return told(api.POST("/api/v1/runs/{id}/steps/{seq}/skip", { params, body: { output } }));
    },
    done: "Skipped.",
    after: onClose,
  });
  return (
    <Ask
      title={`Skip ${step.name}`}
      action="Skip the step"
      danger
      wide
      busy={act.isPending}
      error={act.error}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>
        It ends with this output, as if a worker had said so. Give it the shape of the step’s output; null for a
        clean-up.
      </p>
      <div className="field">
        <label htmlFor="step-output">Output</label>
        <JsonInput id="step-output" value={output} onChange={setOutput} rows={10} />
      </div>
    </Ask>
  );
}

// What an operator does with a run. Only what it is open to now is offered.
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { api, newKey, type Schemas, told } from "../../api/client";
import { readDollars } from "../../lib/money";
import { Button } from "../../ui/basics";
import { Ask } from "../../ui/dialog";
import { JsonInput } from "../../ui/schema-form";
import { useAct } from "../../ui/act";

type Detail = Schemas["RunDetail"];
type Asked = "cancel" | "kill" | "budget" | "fork" | "signal";

export function RunActions({ run }: { run: Detail }) {
  const [asked, setAsked] = useState<Asked>();
  const params = { path: { id: run.id } };
  const pause = useAct({
    run: () => told(api.POST("/api/v1/runs/{id}/pause", { params })),
    done: "Paused.",
    tellFailure: true,
  });
  const resume = useAct({
    run: () => told(api.POST("/api/v1/runs/{id}/resume", { params })),
    done: "Resumed.",
    tellFailure: true,
  });
  const retry = useAct({
    run: () => told(api.POST("/api/v1/runs/{id}/retry", { params })),
    done: "It tries again.",
    tellFailure: true,
  });
  const live = run.ended_at == null;
  const closing = run.status === "closing";
  const canRetry = run.status === "stuck" || run.steps.some(({ state }) => state === "parked");
  const close = () => setAsked(undefined);
  return (
    <>
      {live && !run.paused && (
        <Button icon="pause" onClick={() => pause.mutate()} disabled={pause.isPending}>
          Pause
        </Button>
      )}
      {live && run.paused && (
        <Button icon="play" look="main" onClick={() => resume.mutate()} disabled={resume.isPending}>
          Resume
        </Button>
      )}
      {live && canRetry && (
        <Button icon="retry" look="main" onClick={() => retry.mutate()} disabled={retry.isPending}>
          Retry
        </Button>
      )}
      {live && !closing && (
        <Button icon="stop" onClick={() => setAsked("cancel")}>
          Cancel
        </Button>
      )}
      {live && <Button onClick={() => setAsked("budget")}>Budget</Button>}
      {live && <Button onClick={() => setAsked("signal")}>Signal</Button>}
      {live && (
        <Button icon="skull" look="danger" onClick={() => setAsked("kill")}>
          Kill
        </Button>
      )}
      <Button icon="fork" onClick={() => setAsked("fork")}>
        Fork
      </Button>
      {asked === "cancel" && <Cancel run={run} onClose={close} />}
      {asked === "kill" && <Kill run={run} onClose={close} />}
      {asked === "budget" && <Budget run={run} onClose={close} />}
      {asked === "signal" && <Signal run={run} onClose={close} />}
      {asked === "fork" && <Fork run={run} entry={run.entries ?? 0} onClose={close} />}
    </>
  );
}

interface AskedProps {
  run: Detail;
  onClose: () => void;
}

function Cancel({ run, onClose }: AskedProps) {
  const [reason, setReason] = useState("");
  const act = useAct({
    run: () => told(api.POST("/api/v1/runs/{id}/cancel", { params: { path: { id: run.id } }, body: { reason } })),
    done: "Cancelled; clean-up runs.",
    after: onClose,
  });
  return (
    <Ask
      title="Cancel the run"
      action="Cancel the run"
      danger
      busy={act.isPending}
      error={act.error}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>Waits end at once, running steps are told to stop, then its clean-up runs.</p>
      <Reason value={reason} onChange={setReason} />
    </Ask>
  );
}

function Kill({ run, onClose }: AskedProps) {
  const [reason, setReason] = useState("");
  const [cleanup, setCleanup] = useState(false);
  const act = useAct({
    run: () =>
      told(api.POST("/api/v1/runs/{id}/kill", { params: { path: { id: run.id } }, body: { reason, cleanup } })),
    done: "Killed.",
    after: onClose,
  });
  return (
    <Ask
      title="Kill the run"
      action="Kill the run"
      danger
      busy={act.isPending}
      error={act.error}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>
        It ends without waiting for what is at work: results that come later are refused. For a run that cannot end by
        itself.
      </p>
      <label className="check">
        <input type="checkbox" checked={cleanup} onChange={(event) => setCleanup(event.target.checked)} />
        Let its clean-ups run all the same
      </label>
      <Reason value={reason} onChange={setReason} />
    </Ask>
  );
}

function Reason({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  return (
    <div className="field">
      <label htmlFor="reason">Reason, for the journal</label>
      <input id="reason" value={value} onChange={(event) => onChange(event.target.value)} />
    </div>
  );
}

function Budget({ run, onClose }: AskedProps) {
  const [amount, setAmount] = useState("");
  const micros = readDollars(amount);
  const none = amount.trim() === "";
  const act = useAct({
    run: () => {
      const body = { budget_usd_micros: none ? null : (micros ?? null) };
      return told(api.PUT("/api/v1/runs/{id}/budget", { params: { path: { id: run.id } }, body }));
    },
    done: "The budget is changed.",
    after: onClose,
  });
  return (
    <Ask
      title="What the run may spend"
      action={none ? "Lift the bound" : "Set the budget"}
      busy={act.isPending}
      error={act.error}
      disabled={!none && micros === undefined}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <div className="field">
        <label htmlFor="amount">US dollars in all; nothing: no bound</label>
        <input
          id="amount"
          className="short"
          inputMode="decimal"
          placeholder="2.50"
          value={amount}
          onChange={(event) => setAmount(event.target.value)}
        />
      </div>
      <p className="hint">A run that waits because it spent more goes on if it now may.</p>
    </Ask>
  );
}

function Signal({ run, onClose }: AskedProps) {
  const waitsFor = reasonSignal(run.reason);
  const [name, setName] = useState(waitsFor);
  const [payload, setPayload] = useState<unknown>(null);
  const [key] = useState(newKey);
  const act = useAct({
    run: () => {
      const params = { path: { id: run.id, name }, header: { "Idempotency-Key": key } };
      return told(api.POST("/api/v1/runs/{id}/signals/{name}", { params, body: { payload } }));
    },
    done: "Sent.",
    after: onClose,
  });
  return (
    <Ask
      title="Send a signal"
      action="Send"
      busy={act.isPending}
      error={act.error}
      disabled={name === ""}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <div className="field">
        <label htmlFor="signal">Channel</label>
        <input id="signal" value={name} onChange={(event) => setName(event.target.value)} />
      </div>
      <div className="field">
        <label htmlFor="payload">Message, as JSON</label>
        <JsonInput id="payload" value={payload} onChange={setPayload} rows={4} />
      </div>
    </Ask>
  );
}

function reasonSignal(reason: unknown): string {
  if (typeof reason !== "object" || reason === null || !("name" in reason) || !("kind" in reason)) return "";
  return reason.kind === "signal" && typeof reason.name === "string" ? reason.name : "";
}

export function Fork({ run, entry, onClose }: AskedProps & { entry: number }) {
  const navigate = useNavigate();
  const [kept, setKept] = useState(String(entry));
  const [input, setInput] = useState<unknown>(run.input);
  const [repeat, setRepeat] = useState(false);
  const [key] = useState(newKey);
  const number = /^\d+$/.test(kept) ? Number(kept) : undefined;
  const act = useAct({
    run: () => {
      const body = { entry: number ?? 0, repeat_effects: repeat, ...(number === 0 ? { input } : {}) };
      const params = { path: { id: run.id }, header: { "Idempotency-Key": key } };
      return told(api.POST("/api/v1/runs/{id}/fork", { params, body }));
    },
    done: "Forked: this is the new run.",
    after: (forked) => {
      onClose();
      void navigate({ to: "/runs/$id", params: { id: (forked as Schemas["RunForked"]).id } });
    },
  });
  return (
    <Ask
      title="Fork the run"
      action="Start the fork"
      wide
      busy={act.isPending}
      error={act.error}
      disabled={number === undefined}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>
        A new run that keeps the first entries of this one’s journal, with their results, and does the rest anew. What
        this run has to clean, its tokens and messages are not copied.
      </p>
      <div className="field">
        <label htmlFor="entry">Entries to keep, 0 to {run.entries ?? "?"}; the journal numbers them</label>
        <input
          id="entry"
          className="short"
          inputMode="numeric"
          value={kept}
          onChange={(event) => setKept(event.target.value)}
        />
      </div>
      {number === 0 && (
        <div className="field">
          <label htmlFor="input">Input</label>
          <JsonInput id="input" value={input} onChange={setInput} rows={10} />
        </div>
      )}
      <label className="check">
        <input type="checkbox" checked={repeat} onChange={(event) => setRepeat(event.target.checked)} />
        Have an effect once more that the run may have had
      </label>
    </Ask>
  );
}

// Pauses a workflow, a queue or a worker, and lets it go on.
import { useState } from "react";
import { api, type Schemas, told } from "../api/client";
import { useAct } from "./act";
import { Button } from "./basics";
import { Ask } from "./dialog";

type Scope = "workflow" | "queue" | "worker";

interface PauseProps {
  scope: Scope;
  /** As the API takes it; of a worker its session. */
  name: string;
  /** The pause that is set. */
  pause: Schemas["PauseView"] | undefined;
  look?: "plain" | "quiet";
}

export function PauseButton({ scope, name, pause, look = "plain" }: PauseProps) {
  const [asked, setAsked] = useState(false);
  // What was paused for every tenant is resumed for every tenant.
  const everybody = pause?.tenant === "*";
  const act = useAct({ run: () => resume(scope, name, everybody), done: "It goes on.", tellFailure: true });
  if (pause !== undefined) {
    return (
      <Button
        icon="play"
        look={look}
        onClick={() => act.mutate()}
        disabled={act.isPending}
        aria-label={`resume ${name}`}
      >
        Resume
      </Button>
    );
  }
  const verb = scope === "worker" ? "Drain" : "Pause";
  return (
    <>
      <Button icon="pause" look={look} onClick={() => setAsked(true)} aria-label={`${verb} ${name}`}>
        {verb}
      </Button>
      {asked && <PauseDialog scope={scope} name={name} onClose={() => setAsked(false)} />}
    </>
  );
}

function PauseDialog({ scope, name, onClose }: { scope: Scope; name: string; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const act = useAct({
    run: () => pause(scope, name, reason),
    done: "Paused: nothing new is granted.",
    after: onClose,
  });
  return (
    <Ask
      title={`Pause the ${scope} ${name}`}
      action="Pause"
      busy={act.isPending}
      error={act.error}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>Nothing new is granted, nothing is lost. {scope === "worker" && "It finishes what it holds."}</p>
      <div className="field">
        <label htmlFor="pause-reason">Reason, for those who find it paused</label>
        <input id="pause-reason" value={reason} onChange={(event) => setReason(event.target.value)} maxLength={1024} />
      </div>
    </Ask>
  );
}

function pause(scope: Scope, name: string, reason: string): Promise<unknown> {
  const body = { reason };
  switch (scope) {
    case "workflow":
      return told(api.POST("/api/v1/workflows/{name}/pause", { params: { path: { name } }, body }));
    case "queue":
      return told(api.POST("/api/v1/queues/{name}/pause", { params: { path: { name } }, body }));
    case "worker":
      return told(api.POST("/api/v1/workers/{id}/pause", { params: { path: { id: name } }, body }));
  }
}

export function resume(scope: string, name: string, everybody: boolean): Promise<unknown> {
  const body = { all_tenants: everybody };
  switch (scope) {
    case "workflow":
      return told(api.POST("/api/v1/workflows/{name}/resume", { params: { path: { name } }, body }));
    case "queue":
      return told(api.POST("/api/v1/queues/{name}/resume", { params: { path: { name } }, body }));
    case "worker":
      return told(
        api.POST("/api/v1/workers/{id}/resume", { params: { path: { id: name } }, body: { all_tenants: false } }),
      );
    case "tenant":
      return told(
        api.POST("/api/v1/tenants/{name}/resume", { params: { path: { name } }, body: { all_tenants: false } }),
      );
    default:
      return told(api.POST("/api/v1/engine/resume", { body: { all_tenants: false } }));
  }
}

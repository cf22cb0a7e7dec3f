// What events start: triggers, made and changed live.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api, ApiError, type Schemas, told } from "../../api/client";
import { triggersQuery, workflowsQuery } from "../../api/queries";
import { useMay } from "../../api/session";
import { isObject } from "../../lib/json";
import { type Faults, faultsOf } from "../../lib/schema";
import { useAct } from "../../ui/act";
import { Button, Empty, Fault, Loading, StatusBadge } from "../../ui/basics";
import { Ask } from "../../ui/dialog";
import { JsonInput } from "../../ui/schema-form";
import { Table } from "../../ui/table";

type Trigger = Schemas["EventTriggerView"];

export function Triggers() {
  const { data, error, isPending } = useQuery(triggersQuery);
  const may = useMay();
  const [edited, setEdited] = useState<Trigger | "new">();
  const [removed, setRemoved] = useState<Trigger>();
  return (
    <div className="stack">
      {may("admin") && (
        <div className="actions">
          <Button icon="plus" onClick={() => setEdited("new")}>
            New trigger
          </Button>
        </div>
      )}
      <Fault error={error} />
      {isPending && <Loading />}
      {data?.triggers.length === 0 && (
        <Empty title="No trigger yet: events start nothing.">
          <p>A trigger starts a run of a workflow for each event whose key, scope and payload fit it.</p>
        </Empty>
      )}
      {data !== undefined && data.triggers.length > 0 && (
        <Table
          label="triggers"
          rows={data.triggers}
          rowKey={({ name }) => name}
          columns={[
            { name: "trigger", cell: ({ name }) => <strong>{name}</strong> },
            { name: "key", className: "mono", cell: ({ key }) => key },
            {
              name: "only if",
              className: "grow mono",
              wideOnly: true,
              cell: ({ filter, scope }) => {
                const words = [scope == null ? "" : `scope ${scope}`, filter ?? ""].filter(Boolean).join(", ");
                return (
                  <span className="clip" title={words}>
                    {words}
                  </span>
                );
              },
            },
            {
              name: "starts",
              cell: ({ workflow }) => (
                <Link to="/workflows/$name" params={{ name: workflow }}>
                  {workflow}
                </Link>
              ),
            },
            {
              name: "state",
              cell: ({ paused }) =>
                paused ? <StatusBadge status="paused" /> : <span className="badge succeeded">on</span>,
            },
            {
              name: "actions",
              hidden: true,
              align: "right",
              cell: (trigger) =>
                may("admin") && (
                  <span className="row-actions">
                    <Gate trigger={trigger} />
                    <Button
                      look="quiet"
                      icon="edit"
                      aria-label={`edit ${trigger.name}`}
                      onClick={() => setEdited(trigger)}
                    >
                      Edit
                    </Button>
                    <Button
                      look="quiet"
                      icon="close"
                      aria-label={`delete ${trigger.name}`}
                      onClick={() => setRemoved(trigger)}
                    >
                      Delete
                    </Button>
                  </span>
                ),
            },
          ]}
        />
      )}
      {edited !== undefined && (
        <TriggerDialog {...(edited === "new" ? {} : { was: edited })} onClose={() => setEdited(undefined)} />
      )}
      {removed !== undefined && <Remove trigger={removed} onClose={() => setRemoved(undefined)} />}
    </div>
  );
}

/** The whole of a trigger, as it is put. */
function asPut({ key, workflow, filter, scope, run, paused }: Trigger): Schemas["PutEventTriggerRequest"] {
  return { key, workflow, filter: filter ?? null, scope: scope ?? null, run, paused };
}

function put(name: string, body: Schemas["PutEventTriggerRequest"]): Promise<Trigger> {
  return told(api.PUT("/api/v1/event-triggers/{name}", { params: { path: { name } }, body }));
}

function Gate({ trigger }: { trigger: Trigger }) {
  const act = useAct({
    run: () => put(trigger.name, { ...asPut(trigger), paused: !trigger.paused }),
    done: trigger.paused ? "Events start its runs again." : "Paused: events start none of its runs.",
    tellFailure: true,
  });
  const verb = trigger.paused ? "Resume" : "Pause";
  return (
    <Button
      look="quiet"
      icon={trigger.paused ? "play" : "pause"}
      aria-label={`${verb.toLowerCase()} ${trigger.name}`}
      disabled={act.isPending}
      onClick={() => act.mutate()}
    >
      {verb}
    </Button>
  );
}

interface Typed {
  name: string;
  key: string;
  scope: string;
  filter: string;
  workflow: string;
  run: unknown;
}

function TriggerDialog({ was, onClose }: { was?: Trigger; onClose: () => void }) {
  const workflows = useQuery(workflowsQuery);
  const [typed, setTyped] = useState<Typed>({
    name: was?.name ?? "",
    key: was?.key ?? "",
    scope: was?.scope ?? "",
    filter: was?.filter ?? "",
    workflow: was?.workflow ?? "",
    run: was?.run,
  });
  const [found, setFound] = useState<Faults>({});
  const act = useAct({
    run: async () => {
      const body: Schemas["PutEventTriggerRequest"] = {
        key: typed.key.trim(),
        workflow: typed.workflow,
        scope: typed.scope.trim() === "" ? null : typed.scope.trim(),
        filter: typed.filter.trim() === "" ? null : typed.filter,
        paused: was?.paused ?? false,
        ...(isObject(typed.run) ? { run: typed.run as never } : {}),
      };
      try {
        return await put(typed.name.trim(), body);
      } catch (error) {
        if (error instanceof ApiError) setFound(faultsOf(error.problem.errors ?? [], "/"));
        throw error;
      }
    },
    done: "It holds from the next event on.",
    after: onClose,
  });
  const change = (next: Partial<Typed>) => {
    setTyped({ ...typed, ...next });
    setFound({});
  };
  const field = (name: "name" | "key" | "scope" | "filter", label: string, hint: string, optional = false) => (
    <div className={found[name] === undefined ? "field" : "field wrong"}>
      <label htmlFor={`trigger-${name}`}>
        {label} {optional && <span className="optional">optional</span>}
      </label>
      <input
        id={`trigger-${name}`}
        className="mono"
        value={typed[name]}
        disabled={name === "name" && was !== undefined}
        aria-describedby={`trigger-${name}-about`}
        onChange={(event) => change({ [name]: event.target.value })}
      />
      <div id={`trigger-${name}-about`}>
        {found[name] !== undefined && <p className="field-fault">{found[name]}</p>}
        <p className="hint">{hint}</p>
      </div>
    </div>
  );
  const { name, key, workflow } = typed;
  return (
    <Ask
      title={was === undefined ? "New trigger" : `Trigger ${was.name}`}
      action={was === undefined ? "Make it" : "Change it"}
      wide
      busy={act.isPending}
      error={act.error}
      disabled={[name, key, workflow].some((one) => one.trim() === "")}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <div className="fields">
        {field("name", "Name", "a-z, A-Z, 0-9, . _ and -")}
        {field("key", "Key", "Of the events; * stands for any characters: user:*")}
      </div>
      <div className="fields">
        {field("scope", "Scope", "Only events of this scope", true)}
        <div className="field">
          <label htmlFor="trigger-workflow">Workflow</label>
          <select id="trigger-workflow" value={workflow} onChange={(event) => change({ workflow: event.target.value })}>
            <option value="">choose…</option>
            {workflows.data?.workflows.map((one) => (
              <option key={one.name}>{one.name}</option>
            ))}
          </select>
        </div>
      </div>
      {field("filter", "Only if", "A CEL expression over key, scope, subject and payload: payload.amount > 100", true)}
      <div className="field">
        <label htmlFor="trigger-run">
          The run <span className="optional">optional</span>
        </label>
        <JsonInput id="trigger-run" value={typed.run} onChange={(run) => change({ run })} rows={6} />
        <p className="hint">
          Its start as JSON, with <code>{'{"$cel": "payload.user"}'}</code> wherever a value is made of the event.
          Without it the payload is the input.
        </p>
      </div>
    </Ask>
  );
}

function Remove({ trigger, onClose }: { trigger: Trigger; onClose: () => void }) {
  const act = useAct({
    run: () => told(api.DELETE("/api/v1/event-triggers/{name}", { params: { path: { name: trigger.name } } })),
    done: "Deleted.",
    after: onClose,
  });
  return (
    <Ask
      title={`Delete the trigger ${trigger.name}`}
      action="Delete it"
      danger
      busy={act.isPending}
      error={act.error}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>Events start none of its runs any more. Runs that it started go on.</p>
    </Ask>
  );
}

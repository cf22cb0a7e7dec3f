// Makes a schedule, or changes one, and shows its next instants before anything is stored.
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { type ReactNode, type SubmitEvent, useMemo, useState } from "react";
import { api, ApiError, type Schemas, told } from "../api/client";
import { previewQuery, scheduleQuery, workflowQuery, workflowsQuery } from "../api/queries";
import { isObject } from "../lib/json";
import { NEW, requestOf, type Typed, typedOf } from "../lib/schedules";
import { cleaned, type Faults, faults as faultsIn, faultsOf, initial } from "../lib/schema";
import { useAct } from "../ui/act";
import { Button, Card, Fault, Loading, Page, Prose } from "../ui/basics";
import { InputEditor } from "../ui/input-editor";
import { NextFires } from "../ui/next-fires";
import { useSettled } from "../ui/settled";
import { OverlapSelect } from "./schedule";

const ZONES = Intl.supportedValuesOf("timeZone");
const NO_NAME = "schedule";

export function NewSchedule() {
  const { of } = useSearch({ from: "/new-schedule" });
  const { data, error, isPending } = useQuery({ ...scheduleQuery(of ?? ""), enabled: of !== undefined });
  return (
    <Page title={of === undefined ? "New schedule" : `Change ${of}`}>
      <Fault error={error}>{data === undefined && <Link to="/schedules">To the schedules</Link>}</Fault>
      {of === undefined ? <Form /> : data !== undefined ? <Form key={of} was={data} /> : isPending && <Loading />}
    </Page>
  );
}

type Run = Schemas["StartRunRequest"];

function Form({ was }: { was?: Schemas["ScheduleView"] }) {
  const navigate = useNavigate();
  const [typed, setTyped] = useState<Typed>(was === undefined ? NEW : typedOf(was));
  const [inputs, setInputs] = useState<ReadonlyMap<string, unknown>>(
    new Map(was?.run == null ? [] : [[was.workflow, was.run.input]]),
  );
  const [found, setFound] = useState<Faults>({});
  const workflows = useQuery(workflowsQuery);
  const workflow = useQuery({ ...workflowQuery(typed.workflow), enabled: typed.workflow !== "" });
  const schema = isObject(workflow.data?.input_schema) ? workflow.data.input_schema : undefined;
  const first = useMemo(() => (schema === undefined ? undefined : (initial(schema, schema) ?? {})), [schema]);
  const value = inputs.get(typed.workflow) ?? first;
  const run: Run = { ...was?.run, input: cleaned(value) };
  const request = requestOf(typed, run);
  const name = typed.name.trim();
  const put = useAct({
    run: async () => {
      if (request === undefined) return undefined;
      try {
        return await told(api.PUT("/api/v1/schedules/{name}", { params: { path: { name } }, body: request }));
      } catch (error) {
        if (error instanceof ApiError) setFound(faultsOf(error.problem.errors ?? [], ""));
        throw error;
      }
    },
    done: was === undefined ? "Made." : "Changed.",
    after: () => void navigate({ to: "/schedules/$name", params: { name } }),
  });
  const change = (next: Partial<Typed>) => {
    setTyped({ ...typed, ...next });
    setFound({});
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const wrong = schema === undefined ? {} : faultsIn(schema, cleaned(value));
    const placed = Object.entries(wrong).map(([place, fault]) => [`/run/input${place}`, fault] as const);
    setFound(Object.fromEntries(placed));
    if (placed.length === 0) put.mutate();
  };
  const isPlaced = Object.keys(found).length > 0;
  return (
    <form onSubmit={submit} className="with-aside" noValidate>
      <div className="stack">
        {was === undefined && (
          <Field name="name" label="Name" fault={found.name ?? found["/name"]} hint="a-z, A-Z, 0-9, `.`, `_` and `-`">
            <input id="name" value={typed.name} onChange={(event) => change({ name: event.target.value })} />
          </Field>
        )}
        <Field name="workflow" label="Workflow" fault={found["/workflow"]}>
          <select id="workflow" value={typed.workflow} onChange={(event) => change({ workflow: event.target.value })}>
            <option value="">choose…</option>
            {workflows.data?.workflows.map((one) => (
              <option key={one.name}>{one.name}</option>
            ))}
          </select>
        </Field>
        <When typed={typed} faults={found} onChange={change} />
        <OverlapSelect id="overlap" value={typed.overlap} onChange={(overlap) => change({ overlap })} />
        <Field
          name="catch-up"
          label="Caught up within, seconds"
          optional
          fault={found["/catch_up_seconds"]}
          hint="How late an instant may still start its run, after an outage for one. Default: an hour."
        >
          <input
            id="catch-up"
            className="short"
            inputMode="numeric"
            value={typed.catchUp}
            onChange={(event) => change({ catchUp: event.target.value })}
          />
        </Field>
        {typed.workflow !== "" && (
          <Card title="Input of its runs">
            <Fault error={workflow.error} />
            {workflow.isPending && <Loading />}
            {schema !== undefined && (
              <div className="stack">
                <InputEditor
                  key={typed.workflow}
                  schema={schema}
                  value={value}
                  onChange={(next) => {
                    setInputs(new Map([...inputs, [typed.workflow, next]]));
                    setFound({});
                  }}
                  faults={inputFaults(found)}
                />
              </div>
            )}
          </Card>
        )}
        <Fault error={isPlaced ? undefined : put.error} />
        <div className="actions">
          <Button
            type="submit"
            look="main"
            icon="check"
            disabled={put.isPending || request === undefined || name === ""}
            aria-busy={put.isPending}
          >
            {was === undefined ? "Make the schedule" : "Change it"}
          </Button>
          <Link to="/schedules" className="button">
            Not now
          </Link>
        </div>
      </div>
      <Preview name={name === "" ? NO_NAME : name} request={request} />
    </form>
  );
}

function inputFaults(found: Faults): Faults {
  const prefix = "/run/input";
  const within = Object.entries(found).filter(([place]) => place.startsWith(prefix));
  return Object.fromEntries(within.map(([place, fault]) => [place.slice(prefix.length), fault]));
}

interface WhenProps {
  typed: Typed;
  faults: Faults;
  onChange: (next: Partial<Typed>) => void;
}

function When({ typed, faults, onChange }: WhenProps) {
  return (
    <fieldset className="group">
      <legend>When</legend>
      <div className="choices">
        <label>
          <input type="radio" name="when" checked={typed.when === "cron"} onChange={() => onChange({ when: "cron" })} />
          Again and again
        </label>
        <label>
          <input type="radio" name="when" checked={typed.when === "at"} onChange={() => onChange({ when: "at" })} />
          Once
        </label>
      </div>
      {typed.when === "cron" ? (
        <div className="fields">
          <Field
            name="cron"
            label="Cron"
            fault={faults["/cron"]}
            hint="Minute, hour, day of month, month, day of week; six fields begin with seconds"
          >
            <input
              id="cron"
              className="mono"
              spellCheck={false}
              value={typed.cron}
              onChange={(event) => onChange({ cron: event.target.value })}
            />
          </Field>
          <Field name="zone" label="Time zone" fault={faults["/zone"]} hint="By its IANA name">
            <input
              id="zone"
              list="zones"
              value={typed.zone}
              onChange={(event) => onChange({ zone: event.target.value })}
            />
            <datalist id="zones">
              {ZONES.map((zone) => (
                <option key={zone}>{zone}</option>
              ))}
            </datalist>
          </Field>
        </div>
      ) : (
        <Field name="at" label="Date and time, yours" fault={faults["/at"]}>
          <input
            id="at"
            type="datetime-local"
            className="short"
            value={typed.at}
            onChange={(event) => onChange({ at: event.target.value })}
          />
        </Field>
      )}
    </fieldset>
  );
}

interface FieldProps {
  name: string;
  label: string;
  hint?: string;
  fault: string | undefined;
  optional?: boolean;
  children: ReactNode;
}

function Field({ name, label, hint, fault, optional = false, children }: FieldProps) {
  return (
    <div className={fault === undefined ? "field" : "field wrong"}>
      <label htmlFor={name}>
        {label} {optional && <span className="optional">optional</span>}
      </label>
      {children}
      {fault !== undefined && <p className="field-fault">{fault}</p>}
      {hint !== undefined && (
        <p className="hint">
          <Prose text={hint} />
        </p>
      )}
    </div>
  );
}

/** What the engine says to it, a moment after the last key. */
function Preview({ name, request }: { name: string; request: Schemas["PutScheduleRequest"] | undefined }) {
  // By its text: the object is another one with every drawing.
  const settled = useSettled(request === undefined ? undefined : JSON.stringify(request));
  const asked = settled === undefined ? undefined : (JSON.parse(settled) as Schemas["PutScheduleRequest"]);
  const query = useQuery(previewQuery(name, asked ?? { workflow: "", run: { input: null } }, asked !== undefined));
  const error = asked === undefined ? undefined : query.error;
  const isInput =
    error instanceof ApiError &&
    (error.problem.errors ?? []).length > 0 &&
    (error.problem.errors ?? []).every(({ field }) => field.startsWith("/run/input"));
  return (
    <aside className="preview" aria-label="preview" aria-live="polite">
      <Card title="Next ten fires">
        {asked === undefined ? (
          <p className="nothing">They show here once it has a workflow and a time.</p>
        ) : isInput ? (
          <p className="nothing">They show here once the input fits the workflow.</p>
        ) : error != null ? (
          <Fault error={error} />
        ) : query.data === undefined ? (
          <Loading />
        ) : query.data.next.length === 0 ? (
          <p className="nothing">None: that instant has passed, or it is paused.</p>
        ) : (
          <NextFires next={query.data.next} />
        )}
      </Card>
    </aside>
  );
}

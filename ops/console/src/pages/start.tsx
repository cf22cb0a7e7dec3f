// Starts a run: a form of the workflow's schema, or its input as JSON.
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { type SubmitEvent, useState } from "react";
import { api, ApiError, newKey, type Schemas, told } from "../api/client";
import { workflowQuery } from "../api/queries";
import { isObject } from "../lib/json";
import { readDollars } from "../lib/money";
import { cleaned, type Faults, faults as faultsIn, faultsOf, initial, type Schema } from "../lib/schema";
import { quoted } from "../lib/filters";
import { Button, Card, Command, Fault, Loading, Page } from "../ui/basics";
import { InputEditor } from "../ui/input-editor";
import { toast } from "../ui/toast";

export function Start() {
  const { name } = useParams({ from: "/workflows/$name/start" });
  const { data, error, isPending } = useQuery(workflowQuery(name));
  return (
    <Page title={`Start a run of ${name}`}>
      <Fault error={error} />
      {isPending && <Loading />}
      {data !== undefined && (
        <StartForm key={name} workflow={name} schema={isObject(data.input_schema) ? data.input_schema : {}} />
      )}
    </Page>
  );
}

interface Around {
  subject: string;
  budget: string;
  timeout: string;
}

function StartForm({ workflow, schema }: { workflow: string; schema: Schema }) {
  const navigate = useNavigate();
  const [value, setValue] = useState<unknown>(() => initial(schema, schema) ?? {});
  const [around, setAround] = useState<Around>({ subject: "", budget: "", timeout: "" });
  const [found, setFound] = useState<Faults>({});
  // Sent twice it starts one run; another input is another start.
  const [key, setKey] = useState(newKey);
  const start = useMutation({
    mutationFn: () => {
      const params = { path: { name: workflow }, header: { "Idempotency-Key": key } };
      return told<Schemas["RunStarted"]>(
        api.POST("/api/v1/workflows/{name}/runs", { params, body: request(value, around) }),
      );
    },
    onSuccess: ({ id }) => {
      toast("Started.");
      void navigate({ to: "/runs/$id", params: { id } });
    },
    onError: (error) => {
      if (error instanceof ApiError) setFound(faultsOf(error.problem.errors ?? [], "/input"));
    },
  });
  const change = (next: unknown) => {
    setValue(next);
    setFound({});
    setKey(newKey());
  };
  const changeAround = (next: Partial<Around>) => {
    setAround({ ...around, ...next });
    setKey(newKey());
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const wrong = faultsIn(schema, cleaned(value));
    setFound(wrong);
    if (Object.keys(wrong).length === 0) start.mutate();
  };
  const places = Object.keys(found);
  const subject = isObject(value) && typeof value.subject === "string" ? value.subject : around.subject;
  const input = JSON.stringify(cleaned(value));
  return (
    <form onSubmit={submit} className="stack start" noValidate>
      <InputEditor schema={schema} value={value} onChange={change} faults={found} subject={subject} />
      <Card title="The run">
        <div className="fields">
          <Around
            name="subject"
            label="Subject"
            hint="On whose behalf; default: the input’s own, else default"
            value={around.subject}
            onChange={changeAround}
          />
          <Around
            name="budget"
            label="Budget, US dollars"
            hint="It is paused once it spent more"
            value={around.budget}
            onChange={changeAround}
          />
          <Around
            name="timeout"
            label="Timeout, seconds"
            hint="It ends as timed out after that"
            value={around.timeout}
            onChange={changeAround}
          />
        </div>
      </Card>
      <Fault error={places.length > 0 ? undefined : start.error} />
      <div className="actions">
        <Button type="submit" look="main" icon="play" disabled={start.isPending} aria-busy={start.isPending}>
          Start
        </Button>
      </div>
      <Command text={`valet run ${quoted(workflow)} --json-input ${quoted(input)}`} />
    </form>
  );
}

interface AroundProps {
  name: keyof Around;
  label: string;
  hint: string;
  value: string;
  onChange: (next: Partial<Around>) => void;
}

function Around({ name, label, hint, value, onChange }: AroundProps) {
  return (
    <div className="field">
      <label htmlFor={`around-${name}`}>
        {label} <span className="optional">optional</span>
      </label>
      <input
        id={`around-${name}`}
        value={value}
        onChange={(event) => onChange({ [name]: event.target.value })}
        aria-describedby={`around-${name}-hint`}
      />
      <p className="hint" id={`around-${name}-hint`}>
        {hint}
      </p>
    </div>
  );
}

function request(value: unknown, { subject, budget, timeout }: Around): Schemas["StartRunRequest"] {
  const micros = readDollars(budget);
  const seconds = /^\d+$/.test(timeout.trim()) ? Number(timeout) : undefined;
  return {
    input: cleaned(value),
    ...(subject.trim() === "" ? {} : { subject: subject.trim() }),
    ...(micros === undefined ? {} : { budget_usd_micros: micros }),
    ...(seconds === undefined ? {} : { timeout_seconds: seconds }),
  };
}

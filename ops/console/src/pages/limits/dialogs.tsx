// A limit made, changed, deleted; a key of it left alone.
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { api, ApiError, type Schemas, told } from "../../api/client";
import { workflowsQuery } from "../../api/queries";
import { quoted } from "../../lib/filters";
import {
  coolFaults,
  faultsOf,
  HOLDS,
  NEW,
  placeOf,
  requestOf,
  type Typed,
  typedOf,
  UNITS,
  WHEN_FULL,
} from "../../lib/limits";
import { instantOf, localInput } from "../../lib/schedules";
import { type Faults, faultsOfProblem } from "../../lib/schema";
import { useAct } from "../../ui/act";
import { Button, Command } from "../../ui/basics";
import { Ask } from "../../ui/dialog";
import { Field } from "../../ui/field";
import { useNow } from "../../ui/now";

type Limit = Schemas["LimitView"];
type TextName =
  "name" | "step" | "key" | "share" | "most" | "count" | "per" | "burst" | "quiet" | "quietAtMost" | "expires";

/** Places of a request at which the form shows what is wrong. */
const PLACES = [
  "name",
  "/workflow",
  "/step",
  "/key",
  "/share",
  "/most",
  "/rate",
  "/weights",
  "/when_full",
  "/hold",
  "/debounce",
  "/expires_ms",
];

function isShown(place: string): boolean {
  return PLACES.some((shown) => place === shown || place.startsWith(`${shown}/`));
}

export function LimitDialog({ was, onClose }: { was?: Limit; onClose: () => void }) {
  const workflows = useQuery(workflowsQuery);
  const [typed, setTyped] = useState<Typed>(was === undefined ? NEW : typedOf(was));
  const [sending, setSending] = useState(false);
  const [answered, setAnswered] = useState<Faults>({});
  const name = typed.name.trim();
  const found = { ...answered, ...faultsOf(typed, sending) };
  const act = useAct({
    run: async () => {
      try {
        return await told(api.PUT("/api/v1/limits/{name}", { params: { path: { name } }, body: requestOf(typed) }));
      } catch (error) {
        if (error instanceof ApiError) setAnswered(faultsOfProblem(error.problem));
        throw error;
      }
    },
    done: "It holds at once, also for what waits.",
    after: onClose,
  });
  const submit = () => {
    setSending(true);
    setAnswered({});
    if (Object.keys(faultsOf(typed, true)).length === 0) act.mutate();
  };
  const change = (next: Partial<Typed>) => {
    setTyped({ ...typed, ...next });
    setAnswered({});
    act.reset();
  };
  const input = (field: TextName, className: string) => (describedBy: string) => (
    <input
      id={`limit-${field}`}
      className={className}
      inputMode={className === "short" ? "numeric" : undefined}
      autoComplete="off"
      spellCheck={false}
      value={typed[field]}
      disabled={field === "name" && was !== undefined}
      aria-describedby={describedBy}
      onChange={(event) => change({ [field]: event.target.value })}
    />
  );
  return (
    <Ask
      title={was === undefined ? "New limit" : `Limit ${was.name}`}
      action={was === undefined ? "Make it" : "Change it"}
      wide
      busy={act.isPending}
      error={Object.keys(answered).some(isShown) ? undefined : act.error}
      onClose={onClose}
      onSubmit={submit}
    >
      <div className="fields">
        <Field id="limit-name" label="Name" fault={found.name}>
          {input("name", "mono")}
        </Field>
        <Field id="limit-workflow" label="Workflow" fault={found["/workflow"]}>
          {(describedBy) => (
            <select
              id="limit-workflow"
              aria-describedby={describedBy}
              value={typed.workflow}
              onChange={(event) => change({ workflow: event.target.value })}
            >
              <option value="">choose…</option>
              {namesOf(workflows.data, typed.workflow).map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          )}
        </Field>
        <Field
          id="limit-step"
          label="Step"
          optional
          hint="Of this step only. Without it the limit is of whole runs."
          fault={found["/step"]}
        >
          {input("step", "mono")}
        </Field>
      </div>
      <Field
        id="limit-key"
        label="Key"
        optional
        hint="Each key has slots of its own: CEL over `input`, `run` and `step`, such as `input.site`. Without it all share them."
        fault={found["/key"]}
      >
        {input("key", "mono")}
      </Field>
      <Field
        id="limit-most"
        label="At work at once"
        optional
        hint="For each key. Nobody is stopped: a lower limit is reached as what is at work ends."
        fault={found["/most"]}
      >
        {input("most", "short")}
      </Field>
      <fieldset className="group">
        <legend>
          Rate <span className="optional">optional, of a step</span>
        </legend>
        {found["/rate"] !== undefined && <p className="field-fault">{found["/rate"]}</p>}
        <div className="fields">
          <Field id="limit-count" label="May begin" fault={found["/rate/count"]}>
            {input("count", "short")}
          </Field>
          <Field id="limit-per" label="In so long" fault={found["/rate/per_ms"]}>
            {(describedBy) => (
              <span className="amount">
                {input("per", "short")(describedBy)}
                <select
                  aria-label="unit of the time"
                  value={typed.unit}
                  onChange={(event) => change({ unit: Number(event.target.value) })}
                >
                  {UNITS.map(({ name: unit, ms }) => (
                    <option key={unit} value={ms}>
                      {unit}
                    </option>
                  ))}
                </select>
              </span>
            )}
          </Field>
          <Field
            id="limit-burst"
            label="At once after a rest"
            optional
            hint="Without it as many as may begin."
            fault={found["/rate/burst"]}
          >
            {input("burst", "short")}
          </Field>
        </div>
      </fieldset>
      <fieldset className="group">
        <legend>
          When it is full, and runs <span className="optional">optional; of whole runs but for the first</span>
        </legend>
        <div className="fields">
          <Field id="limit-when-full" label="One that finds its key full" fault={found["/when_full"]}>
            {(describedBy) => (
              <Choice
                id="limit-when-full"
                options={WHEN_FULL}
                value={typed.whenFull}
                describedBy={describedBy}
                onChange={(whenFull) => change({ whenFull })}
              />
            )}
          </Field>
          <Field id="limit-hold" label="A run has its slot" fault={found["/hold"]}>
            {(describedBy) => (
              <Choice
                id="limit-hold"
                options={HOLDS}
                value={typed.hold}
                describedBy={describedBy}
                onChange={(hold) => change({ hold })}
              />
            )}
          </Field>
        </div>
        <div className="fields">
          <Field
            id="limit-quiet"
            label="Seconds without another"
            optional
            hint="A run begins then; those of its key before it are cancelled."
            fault={found["/debounce/quiet_ms"]}
          >
            {input("quiet", "short")}
          </Field>
          <Field
            id="limit-quietAtMost"
            label="Seconds at most"
            optional
            hint="After the first of those that came."
            fault={found["/debounce/at_most_ms"]}
          >
            {input("quietAtMost", "short")}
          </Field>
          <Field
            id="limit-expires"
            label="Seconds it waits to begin"
            optional
            hint="Then it is cancelled. Without it a run waits for as long as it takes."
            fault={found["/expires_ms"]}
          >
            {input("expires", "short")}
          </Field>
        </div>
      </fieldset>
      <Turns typed={typed} found={found} onChange={change}>
        {input("share", "mono")}
      </Turns>
      <Command
        text={`valet limits set ${quoted(name === "" ? "NAME" : name)} ${quoted(JSON.stringify(requestOf(typed)))}`}
      />
    </Ask>
  );
}

interface ChoiceProps<T extends string> {
  id: string;
  options: readonly { value: T; label: string }[];
  value: T;
  describedBy: string;
  onChange: (value: T) => void;
}

function Choice<T extends string>({ id, options, value, describedBy, onChange }: ChoiceProps<T>) {
  return (
    <select
      id={id}
      aria-describedby={describedBy}
      value={value}
      onChange={(event) => {
        const chosen = options.find((option) => option.value === event.target.value);
        if (chosen !== undefined) onChange(chosen.value);
      }}
    >
      {options.map((option) => (
        <option key={option.value} value={option.value}>
          {option.label}
        </option>
      ))}
    </select>
  );
}

/** Those there are; that of the limit stays, though it may be gone. */
function namesOf(list: Schemas["WorkflowList"] | undefined, current: string): string[] {
  const names = list?.workflows.map(({ name }) => name) ?? [];
  return current === "" || names.includes(current) ? names : [current, ...names];
}

interface TurnsProps {
  typed: Typed;
  found: Faults;
  onChange: (next: Partial<Typed>) => void;
  /** The field of the share. */
  children: (describedBy: string) => ReactNode;
}

/** Among whom the turns of a key go round, and who has more of them. */
function Turns({ typed: { share, weights }, found, onChange, children }: TurnsProps) {
  const replace = (index: number, next: Partial<Typed["weights"][number]>) =>
    onChange({ weights: weights.map((one, at) => (at === index ? { ...one, ...next } : one)) });
  return (
    <fieldset className="group">
      <legend>
        Turns <span className="optional">optional</span>
      </legend>
      <Field
        id="limit-share"
        label="Go round among"
        hint="Such as `run.subject`. Without it whoever came first goes first."
        fault={found["/share"] ?? found["/weights"]}
      >
        {children}
      </Field>
      {share.trim() !== "" && (
        <>
          {weights.map((weight, index) => {
            const fault = found[placeOf(weight.share)];
            return (
              // Rows have no identity of their own; they are only added at the end.
              <div key={index} className={fault === undefined ? "field" : "field wrong"}>
                <span className="amount">
                  <input
                    aria-label={`share ${index + 1}`}
                    placeholder="share"
                    value={weight.share}
                    onChange={(event) => replace(index, { share: event.target.value })}
                  />
                  <input
                    aria-label={`turns of share ${index + 1}`}
                    className="short"
                    inputMode="numeric"
                    value={weight.turns}
                    onChange={(event) => replace(index, { turns: event.target.value })}
                  />
                  <Button
                    look="quiet"
                    icon="close"
                    aria-label={`remove share ${index + 1}`}
                    onClick={() => onChange({ weights: weights.filter((_, at) => at !== index) })}
                  />
                </span>
                {fault !== undefined && <p className="field-fault">{fault}</p>}
              </div>
            );
          })}
          <Button
            look="quiet"
            icon="plus"
            onClick={() => onChange({ weights: [...weights, { share: "", turns: "2" }] })}
          >
            A share with more turns
          </Button>
        </>
      )}
    </fieldset>
  );
}

export function RemoveLimit({ name, onClose, onDone }: { name: string; onClose: () => void; onDone?: () => void }) {
  const act = useAct({
    run: () => told(api.DELETE("/api/v1/limits/{name}", { params: { path: { name } } })),
    done: "Deleted.",
    after: () => {
      onClose();
      onDone?.();
    },
  });
  return (
    <Ask
      title={`Delete the limit ${name}`}
      action="Delete it"
      danger
      busy={act.isPending}
      error={act.error}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>What waits for it waits no more, and begins at once.</p>
      <Command text={`valet limits unset ${quoted(name)}`} />
    </Ask>
  );
}

const MINUTE_MS = 60_000;
const SPANS = [
  { name: "15 min", ms: 15 * MINUTE_MS },
  { name: "1 h", ms: 60 * MINUTE_MS },
  { name: "6 h", ms: 6 * 60 * MINUTE_MS },
  { name: "1 d", ms: 24 * 60 * MINUTE_MS },
];

/** Leaves a key alone. Which one is asked unless it is told. */
export function CoolDown({ limit, was, onClose }: { limit: string; was?: string; onClose: () => void }) {
  const now = useNow();
  const [key, setKey] = useState(was ?? "");
  const [until, setUntil] = useState("");
  const [answered, setAnswered] = useState<Faults>({});
  const at = instantOf(until);
  const wrong = coolFaults(key, at, now);
  const found = { ...answered, ...wrong };
  const act = useAct({
    run: async () => {
      try {
        return await cool(limit, key, at);
      } catch (error) {
        if (error instanceof ApiError) setAnswered(faultsOfProblem(error.problem));
        throw error;
      }
    },
    done: "It is left alone; what is at work goes on.",
    after: onClose,
  });
  const forget = () => {
    setAnswered({});
    act.reset();
  };
  return (
    <Ask
      title={was === undefined ? "Leave a key alone" : `Leave ${was === "" ? "what has no key" : was} alone`}
      action="Leave it alone"
      busy={act.isPending}
      error={(answered["/key"] ?? answered["/until"]) ? undefined : act.error}
      disabled={Object.keys(wrong).length > 0}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>Nothing of the key begins before; what is at work goes on.</p>
      {was === undefined && (
        <Field
          id="cool-key"
          label="Key"
          hint="As the limit’s expression makes it. Empty: the key of what has none."
          fault={found["/key"]}
        >
          {(describedBy) => (
            <input
              id="cool-key"
              className="mono"
              autoComplete="off"
              aria-describedby={describedBy}
              value={key}
              onChange={(event) => {
                setKey(event.target.value);
                forget();
              }}
            />
          )}
        </Field>
      )}
      <Field id="cool-until" label="Until, in local time" fault={until === "" ? undefined : found["/until"]}>
        {(describedBy) => (
          <input
            id="cool-until"
            type="datetime-local"
            aria-describedby={describedBy}
            value={until}
            onChange={(event) => {
              setUntil(event.target.value);
              forget();
            }}
          />
        )}
      </Field>
      <div className="chips" role="group" aria-label="from now on for">
        {SPANS.map(({ name, ms }) => (
          <button
            key={name}
            type="button"
            className="chip"
            // Fields of local times have whole minutes: the next one, so that it is not shorter.
            onClick={() => setUntil(localInput(new Date(now + ms + MINUTE_MS - 1).toISOString()))}
          >
            {name}
          </button>
        ))}
      </div>
      <Command text={`valet limits cool ${quoted(limit)} ${word(key)} --until ${at ?? "INSTANT"}`} />
    </Ask>
  );
}

function word(key: string): string {
  return key === "" ? "''" : quoted(key);
}

/** Until an instant; without one it may begin again. */
export function cool(name: string, key: string, until: string | undefined): Promise<unknown> {
  const body = { key, ...(until === undefined ? {} : { until }) };
  return told(api.POST("/api/v1/limits/{name}/cool-down", { params: { path: { name } }, body }));
}

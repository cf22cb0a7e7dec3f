// An incoming webhook made or changed.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, ApiError, type Schemas, told } from "../../api/client";
import { workflowsQuery } from "../../api/queries";
import { type Faults, faultsOfProblem } from "../../lib/schema";
import {
  faultsOf,
  NEW,
  newSecret,
  PROOFS,
  proofOf,
  requestOf,
  type SecretFrom,
  type Typed,
  typedOf,
  withKind,
} from "../../lib/webhooks";
import { useAct } from "../../ui/act";
import { Fault, Value } from "../../ui/basics";
import { Ask } from "../../ui/dialog";
import { Field } from "../../ui/field";
import { JsonInput } from "../../ui/schema-form";
import { SecretOnce } from "../../ui/secret";
import { addressOf } from "./incoming-gate";

type Webhook = Schemas["IncomingWebhookView"];
type TextName = "name" | "header" | "user" | "tolerance" | "filter" | "deliveryId";

/** Places of a request that have a field of their own; mappings show whatever is wrong below them. */
const FIELDS = ["name", "/proof/header", "/proof/user", "/proof/tolerance_seconds", "/start/workflow", "/filter"];
const PARTS = ["/proof/secrets", "/start/run", "/publish", "/delivery_id"];

function isShown(place: string): boolean {
  return FIELDS.includes(place) || PARTS.some((part) => place.startsWith(part));
}

/** What is wrong at a place or below it, with the rest of the place. */
function below(found: Faults, part: string): string | undefined {
  const faults = Object.entries(found).filter(([place]) => place === part || place.startsWith(`${part}/`));
  if (faults.length === 0) return undefined;
  return faults
    .map(([place, fault]) => (place === part ? fault : `${place.slice(part.length + 1)}: ${fault}`))
    .join("; ");
}

export function IncomingDialog({ was, onClose }: { was?: Webhook; onClose: () => void }) {
  const [typed, setTyped] = useState<Typed>(was === undefined ? NEW : typedOf(was));
  const [sending, setSending] = useState(false);
  const [answered, setAnswered] = useState<Faults>({});
  // Made once: a repeated click is the same request.
  const [secrets] = useState(() => ({ standard: newSecret("standard"), other: newSecret("") }));
  const [put, setPut] = useState<Webhook>();
  const secret = typed.kind === "standard" ? secrets.standard : secrets.other;
  const name = typed.name.trim();
  const found = { ...answered, ...faultsOf(typed, sending) };
  const act = useAct({
    run: async () => {
      const body = requestOf(typed, secret, was?.paused ?? false);
      try {
        return await told(api.PUT("/api/v1/webhooks/incoming/{name}", { params: { path: { name } }, body }));
      } catch (error) {
        if (error instanceof ApiError) setAnswered(faultsOfProblem(error.problem));
        throw error;
      }
    },
    done: "It holds for the deliveries that come.",
    after: (webhook) => {
      if (typed.secretFrom === "made") setPut(webhook as Webhook);
      else onClose();
    },
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
  const input = (field: TextName, className = "mono") =>
    function Input(describedBy: string) {
      return (
        <input
          id={`incoming-${field}`}
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
    };
  if (put !== undefined) {
    return (
      <SecretOnce title={`The secret of ${put.name}`} secret={secret} onClose={onClose}>
        <p>Tell the sender the secret and the address to deliver to:</p>
        <Value text={addressOf(put.path)} what="the address" />
      </SecretOnce>
    );
  }
  const proof = proofOf(typed.kind);
  return (
    <Ask
      title={was === undefined ? "New incoming webhook" : `Incoming webhook ${was.name}`}
      action={was === undefined ? "Make it" : "Change it"}
      wide
      busy={act.isPending}
      error={Object.keys(answered).some(isShown) ? undefined : act.error}
      onClose={onClose}
      onSubmit={submit}
    >
      <div className="fields">
        <Field
          id="incoming-name"
          label="Name"
          hint="Part of the address: a-z, A-Z, 0-9, `.`, `_` and `-`"
          fault={found.name}
        >
          {input("name")}
        </Field>
        <Field
          id="incoming-kind"
          label="Senders prove themselves as"
          hint={`By ${proof.shows}.`}
          fault={found["/proof/kind"]}
        >
          {(describedBy) => (
            <select
              id="incoming-kind"
              aria-describedby={describedBy}
              value={typed.kind}
              onChange={(event) => change(withKind(typed, event.target.value))}
            >
              {PROOFS.map(({ kind, name: words }) => (
                <option key={kind} value={kind}>
                  {words}
                </option>
              ))}
            </select>
          )}
        </Field>
      </div>
      {(proof.user || proof.header !== undefined || proof.timed) && (
        <div className="fields">
          {proof.user && (
            <Field id="incoming-user" label="User" fault={found["/proof/user"]}>
              {input("user", "")}
            </Field>
          )}
          {proof.header !== undefined && (
            <Field
              id="incoming-header"
              label="Another header"
              optional
              hint={`Instead of \`${proof.header}\``}
              fault={found["/proof/header"]}
            >
              {input("header")}
            </Field>
          )}
          {proof.timed && (
            <Field
              id="incoming-tolerance"
              label="Its time may be off by, seconds"
              optional
              hint="10 to 86,400. Default: 300."
              fault={found["/proof/tolerance_seconds"]}
            >
              {input("tolerance", "short")}
            </Field>
          )}
        </div>
      )}
      <Secret typed={typed} isNew={was === undefined} fault={below(found, "/proof/secrets")} onChange={change} />
      <Makes typed={typed} found={found} onChange={change} />
      <Field
        id="incoming-filter"
        label="Only if"
        optional
        hint="CEL over `headers` and `payload`: `payload.action == 'opened'`. Other deliveries are answered and make nothing."
        fault={found["/filter"]}
      >
        {input("filter")}
      </Field>
      <Field
        id="incoming-deliveryId"
        label="The sender’s id of a delivery"
        optional
        hint="CEL, such as `payload.id`: the same id happens once. Default: where it is usual to be, else the signature."
        fault={found["/delivery_id"]}
      >
        {input("deliveryId")}
      </Field>
    </Ask>
  );
}

interface PartProps {
  typed: Typed;
  onChange: (next: Partial<Typed>) => void;
}

function Secret({ typed, isNew, fault, onChange }: PartProps & { isNew: boolean; fault: string | undefined }) {
  const ways: [SecretFrom, string][] = [
    ...(isNew ? [] : [["kept", "The one that it has"] as [SecretFrom, string]]),
    ["made", isNew ? "Made here, shown once" : "A new one, made here and shown once; the old one ends"],
    ["given", isNew ? "The sender’s own" : "Others, instead"],
  ];
  return (
    <fieldset className="group">
      <legend>Secret</legend>
      <div className="choices column">
        {ways.map(([way, words]) => (
          <label key={way}>
            <input
              type="radio"
              name="secret"
              checked={typed.secretFrom === way}
              onChange={() => onChange({ secretFrom: way })}
            />
            {words}
          </label>
        ))}
      </div>
      {typed.secretFrom === "given" && (
        <Field
          id="incoming-secrets"
          label="Secrets, one on each line"
          hint="Up to four: any of them proves a delivery, so that the sender can change over. They are never shown again."
          fault={fault}
        >
          {(describedBy) => (
            <textarea
              id="incoming-secrets"
              className="mono"
              rows={2}
              spellCheck={false}
              autoComplete="off"
              aria-describedby={describedBy}
              value={typed.secrets}
              onChange={(event) => onChange({ secrets: event.target.value })}
            />
          )}
        </Field>
      )}
      {typed.secretFrom !== "given" && fault !== undefined && <p className="field-fault">{fault}</p>}
    </fieldset>
  );
}

function Makes({ typed, found, onChange }: PartProps & { found: Faults }) {
  const workflows = useQuery(workflowsQuery);
  return (
    <fieldset className="group">
      <legend>A delivery</legend>
      <div className="choices">
        <label>
          <input
            type="radio"
            name="target"
            checked={typed.target === "start"}
            onChange={() => onChange({ target: "start" })}
          />
          Starts a run
        </label>
        <label>
          <input
            type="radio"
            name="target"
            checked={typed.target === "publish"}
            onChange={() => onChange({ target: "publish" })}
          />
          Publishes an event
        </label>
      </div>
      {typed.target === "start" ? (
        <>
          <Field id="incoming-workflow" label="Workflow" fault={found["/start/workflow"]}>
            {(describedBy) => (
              <select
                id="incoming-workflow"
                aria-describedby={describedBy}
                value={typed.workflow}
                onChange={(event) => onChange({ workflow: event.target.value })}
              >
                <option value="">choose…</option>
                {namesOf(workflows.data, typed.workflow).map((one) => (
                  <option key={one}>{one}</option>
                ))}
              </select>
            )}
          </Field>
          <Fault error={workflows.error} />
          <Field
            id="incoming-run"
            label="The run"
            optional
            hint={
              'Its start as JSON, with `{"$cel": "payload.user"}` wherever a value is made of the delivery. Without it the payload is the input.'
            }
            fault={below(found, "/start/run")}
          >
            {(describedBy) => (
              <JsonInput
                id="incoming-run"
                describedBy={describedBy}
                value={typed.run}
                onChange={(run) => onChange({ run })}
                rows={5}
              />
            )}
          </Field>
        </>
      ) : (
        <Field
          id="incoming-event"
          label="The event"
          hint={
            'Its `key`, and `scope`, `subject` and `payload` if they are wanted, with `{"$cel": "payload.type"}` wherever a value is made of the delivery. Without a payload it carries the delivery’s.'
          }
          fault={below(found, "/publish")}
        >
          {(describedBy) => (
            <JsonInput
              id="incoming-event"
              describedBy={describedBy}
              value={typed.event}
              onChange={(event) => onChange({ event })}
              rows={5}
            />
          )}
        </Field>
      )}
    </fieldset>
  );
}

/** Those there are; that of the webhook stays, though it may be gone. */
function namesOf(list: Schemas["WorkflowList"] | undefined, current: string): string[] {
  const names = list?.workflows.map(({ name }) => name) ?? [];
  return current === "" || names.includes(current) ? names : [current, ...names];
}

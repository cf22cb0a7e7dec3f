// An outgoing webhook made or changed.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError } from "../../api/client";
import { type Outgoing, putOutgoing } from "../../api/outgoing";
import { workflowsQuery } from "../../api/queries";
import { faultsOf, KINDS, NEW, requestOf, type TypedOutgoing, typedOf } from "../../lib/outgoing";
import { type Faults, faultsOfProblem } from "../../lib/schema";
import { newSecret, type SecretFrom } from "../../lib/webhooks";
import { useAct } from "../../ui/act";
import { Ask } from "../../ui/dialog";
import { Field } from "../../ui/field";
import { SecretOnce } from "../../ui/secret";

type TextName = "name" | "url" | "others" | "filter";

/** Places of a request that are shown beside a field. */
const PLACES = ["name", "/url", "/kinds", "/workflow", "/filter", "/secrets"];

const placeOf = (place: string) => PLACES.find((one) => place === one || place.startsWith(`${one}/`));

export function OutgoingDialog({ was, onClose }: { was?: Outgoing; onClose: () => void }) {
  const workflows = useQuery(workflowsQuery);
  const [typed, setTyped] = useState<TypedOutgoing>(was === undefined ? NEW : typedOf(was));
  const [sending, setSending] = useState(false);
  const [answered, setAnswered] = useState<Faults>({});
  // Made once: a repeated click is the same request.
  const [made] = useState(() => newSecret("standard"));
  const [shown, setShown] = useState<string>();
  const name = typed.name.trim();
  // Kinds and secrets are told by their places in a list, which are one field here.
  const told = Object.fromEntries(Object.entries(answered).map(([place, fault]) => [placeOf(place) ?? place, fault]));
  const found: Faults = { ...told, ...(sending ? faultsOf(typed, was) : {}) };
  const act = useAct({
    run: async () => {
      try {
        return await putOutgoing(name, requestOf(typed, was, made));
      } catch (error) {
        if (error instanceof ApiError) setAnswered(faultsOfProblem(error.problem));
        throw error;
      }
    },
    done: "It is told from now on; other engines know within ten seconds.",
    after: (webhook) => {
      const secret = (webhook as Outgoing).secret ?? (typed.secretFrom === "made" ? made : undefined);
      if (secret === undefined) onClose();
      else setShown(secret);
    },
  });
  const submit = () => {
    setSending(true);
    setAnswered({});
    if (Object.keys(faultsOf(typed, was)).length === 0) act.mutate();
  };
  const change = (next: Partial<TypedOutgoing>) => {
    setTyped({ ...typed, ...next });
    setAnswered({});
    act.reset();
  };
  const toggle = (kind: string) => {
    const kinds = new Set(typed.kinds);
    if (!kinds.delete(kind)) kinds.add(kind);
    change({ kinds });
  };
  const input = (field: TextName) =>
    function Input(describedBy: string) {
      return (
        <input
          id={`outgoing-${field}`}
          className="mono"
          inputMode={field === "url" ? "url" : undefined}
          autoComplete="off"
          spellCheck={false}
          value={typed[field]}
          disabled={field === "name" && was !== undefined}
          aria-describedby={describedBy}
          onChange={(event) => change({ [field]: event.target.value })}
        />
      );
    };
  if (shown !== undefined) {
    return (
      <SecretOnce title={`The secret of ${name}`} secret={shown} onClose={onClose}>
        <p>
          Its receiver proves each message with it: the signature stands in <code>webhook-signature</code>, as Standard
          Webhooks says.
        </p>
      </SecretOnce>
    );
  }
  return (
    <Ask
      title={was === undefined ? "New outgoing webhook" : `Outgoing webhook ${was.name}`}
      action={was === undefined ? "Make it" : "Change it"}
      wide
      busy={act.isPending}
      error={Object.keys(answered).some((place) => placeOf(place) !== undefined) ? undefined : act.error}
      onClose={onClose}
      onSubmit={submit}
    >
      <Field id="outgoing-name" label="Name" hint="a-z, A-Z, 0-9, `.`, `_` and `-`" fault={found.name}>
        {input("name")}
      </Field>
      <Field
        id="outgoing-url"
        label="URL"
        optional={was !== undefined}
        hint={
          was === undefined
            ? "Of a server with a public address. Only where it begins is ever shown again."
            : `Leave it empty, and it stays as it is: it may hold a secret, so that only \`${was.origin}\` is shown.`
        }
        fault={found["/url"]}
      >
        {input("url")}
      </Field>
      <fieldset className="group">
        <legend>Is told of</legend>
        <div className="choices grid">
          {KINDS.map(({ kind, words }) => (
            <label key={kind}>
              <input type="checkbox" checked={typed.kinds.has(kind)} onChange={() => toggle(kind)} />
              <span>
                {words} <code>{kind}</code>
              </span>
            </label>
          ))}
        </div>
        <Field
          id="outgoing-others"
          label="Others, separated by commas"
          optional
          hint="What workflow code says, or the beginning of kinds: `run.*`"
          fault={found["/kinds"]}
        >
          {input("others")}
        </Field>
      </fieldset>
      <div className="fields">
        <Field id="outgoing-workflow" label="Only of the workflow" optional fault={found["/workflow"]}>
          {(describedBy) => (
            <select
              id="outgoing-workflow"
              aria-describedby={describedBy}
              value={typed.workflow}
              onChange={(event) => change({ workflow: event.target.value })}
            >
              <option value="">all</option>
              {[...new Set([...(workflows.data?.workflows.map((one) => one.name) ?? []), typed.workflow])]
                .filter((one) => one !== "")
                .map((one) => (
                  <option key={one}>{one}</option>
                ))}
            </select>
          )}
        </Field>
        <Field
          id="outgoing-filter"
          label="Only if"
          optional
          hint="CEL over `kind`, `workflow`, `subject` and `data`"
          fault={found["/filter"]}
        >
          {input("filter")}
        </Field>
      </div>
      <Secret typed={typed} isNew={was === undefined} fault={found["/secrets"]} onChange={change} />
    </Ask>
  );
}

interface SecretProps {
  typed: TypedOutgoing;
  isNew: boolean;
  fault: string | undefined;
  onChange: (next: Partial<TypedOutgoing>) => void;
}

function Secret({ typed, isNew, fault, onChange }: SecretProps) {
  const ways: [SecretFrom, string][] = [
    ...(isNew ? [] : [["kept", "Signed with the one that it has"] as [SecretFrom, string]]),
    ["made", isNew ? "Made by the engine, shown once" : "A new one, made here and shown once; the old one ends"],
    ["given", isNew ? "Given" : "Others, instead"],
  ];
  return (
    <fieldset className="group">
      <legend>Secret</legend>
      <div className="choices column">
        {ways.map(([way, words]) => (
          <label key={way}>
            <input
              type="radio"
              name="outgoing-secret"
              checked={typed.secretFrom === way}
              onChange={() => onChange({ secretFrom: way })}
            />
            {words}
          </label>
        ))}
      </div>
      {typed.secretFrom === "given" ? (
        <Field
          id="outgoing-secrets"
          label="Secrets, one on each line"
          hint="Base64 after `whsec_`, up to four: messages are signed under each, so that the receiver can change over."
          fault={fault}
        >
          {(describedBy) => (
            <textarea
              id="outgoing-secrets"
              className="mono"
              rows={2}
              autoComplete="off"
              spellCheck={false}
              aria-describedby={describedBy}
              value={typed.secrets}
              onChange={(event) => onChange({ secrets: event.target.value })}
            />
          )}
        </Field>
      ) : (
        fault !== undefined && <p className="field-fault">{fault}</p>
      )}
    </fieldset>
  );
}

// Makes a bulk operation of all runs that fit a filter: how many there are, then the question.
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { type BulkOperation, bulkPreviewQuery, type BulkRequest, startBulk } from "../api/bulk-operations";
import { newKey } from "../api/client";
import {
  type ActionKind,
  bulkFilterOf,
  countWords,
  filterWords,
  RATE,
  rateOf,
  startCommand,
} from "../lib/bulk-operations";
import type { RunFilter } from "../lib/filters";
import { useAct } from "./act";
import { Command, Fault } from "./basics";
import { Ask } from "./dialog";
import { Field } from "./field";

interface BulkStartProps {
  kind: ActionKind;
  filter: RunFilter;
  onClose: () => void;
}

export function BulkStart({ kind, filter: runs, onClose }: BulkStartProps) {
  const navigate = useNavigate();
  const filter = bulkFilterOf(runs);
  const preview = useQuery(bulkPreviewQuery(kind.action, filter));
  const [reason, setReason] = useState("");
  const [rate, setRate] = useState(String(RATE.usual));
  const [repeats, setRepeats] = useState(false);
  const [sure, setSure] = useState(false);
  const [key, setKey] = useState(newKey);
  const perSecond = rateOf(rate);
  const act = useAct({
    run: () => {
      const body: BulkRequest = { action: kind.action, filter, rate: perSecond ?? RATE.usual };
      if (kind.action === "cancel" && reason.trim() !== "") body.reason = reason.trim();
      if (kind.action === "fork") body.fork = { entry: 0, repeat_effects: repeats };
      return startBulk(body, key);
    },
    after: (made) => void navigate({ to: "/bulk-operations/$id", params: { id: (made as BulkOperation).id } }),
  });
  // Another request is another operation.
  const changed =
    <T,>(set: (value: T) => void) =>
    (value: T) => {
      set(value);
      setKey(newKey());
      act.reset();
    };
  const count = preview.data?.count;
  return (
    <Ask
      title={`${kind.name} all runs that fit the filters`}
      action={
        count === undefined || preview.data === undefined ? kind.name : `${kind.name} ${countWords(preview.data)}`
      }
      danger={kind.danger}
      busy={act.isPending}
      error={act.error}
      disabled={count === undefined || count === 0 || perSecond === undefined || (kind.scope === "admin" && !sure)}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>{filterWords(filter)}</p>
      <Fault error={preview.error} />
      <p role="status">
        {preview.data === undefined
          ? preview.error === null && "counting…"
          : count === 0
            ? "It applies to none of them now."
            : `It applies to ${countWords(preview.data)} now.`}{" "}
        {kind.about}
      </p>
      {kind.action === "cancel" && (
        <Field id="bulk-start-reason" label="Reason" optional hint="Stands in each run." fault={undefined}>
          {(describedBy) => (
            <input
              id="bulk-start-reason"
              aria-describedby={describedBy}
              value={reason}
              onChange={(event) => changed(setReason)(event.target.value)}
            />
          )}
        </Field>
      )}
      {kind.action === "fork" && (
        <label className="check">
          <input type="checkbox" checked={repeats} onChange={(event) => changed(setRepeats)(event.target.checked)} />
          Effects that a run may have had are had once more
        </label>
      )}
      <Field
        id="bulk-start-rate"
        label="Runs a second, at most"
        hint="It can be changed while it works."
        fault={perSecond === undefined ? `${RATE.least} to ${RATE.most.toLocaleString()}` : undefined}
      >
        {(describedBy) => (
          <input
            id="bulk-start-rate"
            className="short"
            inputMode="numeric"
            aria-describedby={describedBy}
            value={rate}
            onChange={(event) => changed(setRate)(event.target.value)}
          />
        )}
      </Field>
      {kind.scope === "admin" && (
        <label className="check">
          <input type="checkbox" checked={sure} onChange={(event) => setSure(event.target.checked)} />
          Nothing brings them back, and that is meant
        </label>
      )}
      <Command text={startCommand(kind.action, runs)} />
    </Ask>
  );
}

// A bulk operation: how far it is, on which runs it failed, and the way back.
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { type BulkOperation as Operation, bulkOperationQuery, setBulkRate } from "../api/bulk-operations";
import { ApiError } from "../api/client";
import { useMay } from "../api/session";
import { actionOf, filterWords, RATE, rateOf, runFilterOf } from "../lib/bulk-operations";
import { duration } from "../lib/time";
import { shortId, spaced } from "../lib/words";
import { useAct } from "../ui/act";
import {
  Ago,
  Button,
  Card,
  Command,
  Copy,
  Empty,
  Fact,
  Facts,
  Fault,
  Loading,
  Page,
  RunLink,
  StatusBadge,
} from "../ui/basics";
import { BulkProgress, BulkVerbs } from "../ui/bulk-progress";
import { Ask } from "../ui/dialog";
import { Field } from "../ui/field";
import { Table } from "../ui/table";

export function BulkOperation() {
  const { id } = useParams({ from: "/bulk-operations/$id" });
  const { data, error, isPending } = useQuery(bulkOperationQuery(id));
  const may = useMay();
  const navigate = useNavigate();
  const [rating, setRating] = useState(false);
  if (error instanceof ApiError && error.problem.status === 404) {
    return (
      <Page title="Bulk operation">
        <Empty title="There is no such operation.">
          <p>
            They are kept for 30 days. <Link to="/bulk-operations">To those there are</Link>
          </p>
        </Empty>
      </Page>
    );
  }
  return (
    <Page
      title={data === undefined ? "Bulk operation" : `${actionOf(data.action).name} runs`}
      actions={
        data !== undefined && (
          <>
            <BulkVerbs
              operation={data}
              look="plain"
              onUndo={(undo) => void navigate({ to: "/bulk-operations/$id", params: { id: undo.id } })}
            />
            {may("operate") && data.ended_at == null && data.state !== "collecting" && (
              <Button icon="edit" onClick={() => setRating(true)}>
                Rate
              </Button>
            )}
          </>
        )
      }
    >
      <Fault error={error} />
      {isPending && <Loading />}
      {data !== undefined && (
        <>
          <Card title="Progress" aside={<StatusBadge status={data.state} />}>
            <div className="stack">
              <BulkProgress operation={data} />
              {data.eta_seconds != null && data.eta_seconds > 0 && (
                <p className="hint">about {duration(data.eta_seconds * 1_000)} more at this rate</p>
              )}
              {data.limited && (
                <p className="notice warn">
                  There were more runs than one operation takes: the others want another one, once this has ended.
                </p>
              )}
            </div>
          </Card>
          <About operation={data} />
          <Failures operation={data} />
          <Command text={`valet bulk show ${data.id}${data.ended_at == null ? " --follow" : ""}`} />
        </>
      )}
      {rating && data !== undefined && <Rate operation={data} onClose={() => setRating(false)} />}
    </Page>
  );
}

function About({ operation }: { operation: Operation }) {
  const { filter, reason, fork, rate, undo_of: undoOf, undone_by: undoneBy } = operation;
  const link = (id: string) => (
    <Link to="/bulk-operations/$id" params={{ id }} className="mono" title={id}>
      {shortId(id)}
    </Link>
  );
  return (
    <Facts>
      <Fact name="id">
        <code>{shortId(operation.id)}</code> <Copy text={operation.id} what="the id" />
      </Fact>
      <Fact name="of runs">
        {undoOf == null ? (
          <Link to="/runs" search={runFilterOf(filter)}>
            {filterWords(filter)}
          </Link>
        ) : (
          <>those of {link(undoOf)}, which it takes back</>
        )}
      </Fact>
      {reason != null && <Fact name="reason">{reason}</Fact>}
      {fork != null && (
        <Fact name="forks">
          {fork.entry === 0 ? "begin anew" : `keep ${fork.entry} entries`}
          {fork.repeat_effects && ", effects are had once more"}
        </Fact>
      )}
      <Fact name="rate">{rate.toLocaleString()} runs a second</Fact>
      <Fact name="began">
        <Ago at={operation.created_at} />, by {operation.created_by}
      </Fact>
      {operation.ended_at != null && (
        <Fact name="ended">
          <Ago at={operation.ended_at} />
        </Fact>
      )}
      {undoneBy != null && <Fact name="taken back by">{link(undoneBy)}</Fact>}
    </Facts>
  );
}

function Failures({ operation: { failed, failures = [] } }: { operation: Operation }) {
  if (failed === 0) return null;
  return (
    <Card title="Runs on which it failed">
      <Table
        label="runs on which it failed"
        rows={failures}
        rowKey={({ run }) => run}
        columns={[
          { name: "run", cell: ({ run }) => <RunLink id={run} /> },
          { name: "reason", className: "grow wrap", cell: ({ reason }) => spaced(reason) },
        ]}
      />
      {failed > failures.length && (
        <p className="hint">
          The first {failures.length} of {failed.toLocaleString()}.
        </p>
      )}
    </Card>
  );
}

function Rate({ operation, onClose }: { operation: Operation; onClose: () => void }) {
  const [typed, setTyped] = useState(String(operation.rate));
  const rate = rateOf(typed);
  const act = useAct({
    run: () => setBulkRate(operation.id, rate ?? operation.rate),
    done: "It holds from its next turn on.",
    after: onClose,
  });
  return (
    <Ask
      title="Make it faster or slower"
      action="Change it"
      busy={act.isPending}
      error={act.error}
      disabled={rate === undefined}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <Field
        id="bulk-rate"
        label="Runs a second, at most"
        fault={rate === undefined ? `${RATE.least} to ${RATE.most.toLocaleString()}` : undefined}
      >
        {(describedBy) => (
          <input
            id="bulk-rate"
            className="short"
            inputMode="numeric"
            aria-describedby={describedBy}
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
          />
        )}
      </Field>
    </Ask>
  );
}

// An outgoing webhook: whom it tells what, and what became of each message.
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { ApiError } from "../api/client";
import {
  deliveriesQuery,
  type Outgoing,
  type OutgoingDelivery,
  outgoingWebhookQuery,
  redeliver,
  removeOutgoing,
} from "../api/outgoing";
import { useMay } from "../api/session";
import { answerWords } from "../lib/outgoing";
import { plural } from "../lib/words";
import { useAct } from "../ui/act";
import { Ago, Button, Card, Empty, Fact, Facts, Fault, Loading, Page, RunLink, StatusBadge } from "../ui/basics";
import { Ask } from "../ui/dialog";
import { Table } from "../ui/table";
import { OutgoingDialog } from "./webhooks/outgoing-dialog";
import { OutgoingGate } from "./webhooks/outgoing-gate";

export function OutgoingWebhook() {
  const { name } = useParams({ from: "/webhooks/outgoing/$name" });
  const { data, error, isPending } = useQuery(outgoingWebhookQuery(name));
  const may = useMay();
  const [dialog, setDialog] = useState<"edit" | "remove">();
  if (error instanceof ApiError && error.problem.status === 404) {
    return (
      <Page title={`Outgoing webhook ${name}`}>
        <Empty title="There is no such outgoing webhook.">
          <Link to="/webhooks" search={{ view: "outgoing" }}>
            To the outgoing webhooks
          </Link>
        </Empty>
      </Page>
    );
  }
  return (
    <Page
      title={`Outgoing webhook ${name}`}
      actions={
        data !== undefined &&
        may("admin") && (
          <>
            <OutgoingGate webhook={data} look="plain" />
            <Button icon="edit" onClick={() => setDialog("edit")}>
              Edit
            </Button>
            <Button look="danger" icon="close" onClick={() => setDialog("remove")}>
              Delete
            </Button>
          </>
        )
      }
    >
      <Fault error={error} />
      {isPending && <Loading />}
      {data !== undefined && (
        <>
          <About webhook={data} />
          <Deliveries webhook={data} />
        </>
      )}
      {dialog === "edit" && data !== undefined && <OutgoingDialog was={data} onClose={() => setDialog(undefined)} />}
      {dialog === "remove" && <Remove name={name} onClose={() => setDialog(undefined)} />}
    </Page>
  );
}

function About({ webhook }: { webhook: Outgoing }) {
  return (
    <Facts>
      <Fact name="state">
        {webhook.paused ? <StatusBadge status="paused" /> : <span className="badge succeeded">on</span>}
      </Fact>
      <Fact name="to">
        <code>{webhook.origin}</code>
      </Fact>
      <Fact name="is told of">
        <span className="tags">
          {webhook.kinds.map((kind) => (
            <span key={kind} className="tag">
              {kind}
            </span>
          ))}
        </span>
      </Fact>
      <Fact name="of workflow">{webhook.workflow ?? "all"}</Fact>
      {webhook.filter != null && (
        <Fact name="only if">
          <code>{webhook.filter}</code>
        </Fact>
      )}
      <Fact name="made by">
        {webhook.created_by}, <Ago at={webhook.created_at} />
      </Fact>
    </Facts>
  );
}

const STATES = ["waiting", "delivered", "failed"];

function Deliveries({ webhook: { name } }: { webhook: Outgoing }) {
  const { state } = useSearch({ from: "/webhooks/outgoing/$name" });
  const navigate = useNavigate({ from: "/webhooks/outgoing/$name" });
  const query = useInfiniteQuery(deliveriesQuery(name, state));
  const may = useMay();
  const deliveries = query.data?.pages.flatMap((page) => page.deliveries) ?? [];
  return (
    <Card
      title="Deliveries"
      aside={
        <div className="chips" role="group" aria-label="only deliveries that are">
          {STATES.map((one) => (
            <button
              key={one}
              type="button"
              className="chip"
              aria-pressed={one === state}
              onClick={() => void navigate({ search: one === state ? {} : { state: one }, replace: true })}
            >
              {one}
            </button>
          ))}
        </div>
      }
    >
      <div className="stack">
        <Fault error={query.error} />
        {query.isPending && <Loading />}
        {query.isSuccess && deliveries.length === 0 && (
          <Empty title={state === undefined ? "It was told nothing in 30 days." : `No delivery is ${state}.`}>
            {state === undefined && <p>A message shows here once something happens that this webhook is told of.</p>}
          </Empty>
        )}
        {deliveries.length > 0 && (
          <Table
            label="deliveries"
            rows={deliveries}
            rowKey={({ id }) => id}
            rowClass={(one) => (one.state === "failed" ? "bad" : undefined)}
            columns={[
              { name: "when", cell: ({ at }) => <Ago at={at} /> },
              { name: "what", className: "mono", cell: ({ kind }) => kind },
              { name: "run", wideOnly: true, cell: ({ run }) => <RunLink id={run} /> },
              { name: "state", cell: (one) => <StatusBadge status={one.state} /> },
              {
                name: "attempts",
                className: "grow",
                wideOnly: true,
                cell: (one) => (
                  <span className="clip" title={answerWords(one)}>
                    {one.attempts}
                    {one.next_at != null && one.attempts > 0 && <Next at={one.next_at} />}{" "}
                    <span className="hint">{answerWords(one)}</span>
                  </span>
                ),
              },
              {
                name: "actions",
                hidden: true,
                align: "right",
                cell: (one) =>
                  may("operate") &&
                  one.state !== "waiting" && (
                    <span className="row-actions">
                      <Again name={name} delivery={one} />
                    </span>
                  ),
              },
            ]}
          />
        )}
        {query.hasNextPage ? (
          <Button
            look="quiet"
            icon="down"
            disabled={query.isFetchingNextPage}
            onClick={() => void query.fetchNextPage()}
          >
            Older
          </Button>
        ) : (
          deliveries.length > 0 && <p className="hint">{plural(deliveries.length, "delivery", "deliveries")}</p>
        )}
      </div>
    </Card>
  );
}

function Next({ at }: { at: string }) {
  return (
    <>
      , again <Ago at={at} />
    </>
  );
}

function Again({ name, delivery: { id, kind } }: { name: string; delivery: OutgoingDelivery }) {
  const act = useAct({ run: () => redeliver(name, id), done: "It is delivered once more.", tellFailure: true });
  return (
    <Button
      look="quiet"
      icon="retry"
      aria-label={`deliver ${kind} once more, ${id}`}
      disabled={act.isPending}
      onClick={() => act.mutate()}
    >
      Redeliver
    </Button>
  );
}

function Remove({ name, onClose }: { name: string; onClose: () => void }) {
  const navigate = useNavigate();
  const act = useAct({
    run: () => removeOutgoing(name),
    done: "Deleted.",
    after: () => void navigate({ to: "/webhooks", search: { view: "outgoing" }, replace: true }),
  });
  return (
    <Ask
      title={`Delete the outgoing webhook ${name}`}
      action="Delete it"
      danger
      busy={act.isPending}
      error={act.error}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>It is told nothing more, not even what it was still to be told; its log goes too.</p>
    </Ask>
  );
}

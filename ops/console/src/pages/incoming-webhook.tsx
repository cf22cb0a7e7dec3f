// An incoming webhook: where its sender delivers, what is made of it, and what was refused.
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { api, ApiError, type Schemas, told } from "../api/client";
import { incomingWebhookQuery, refusalsQuery } from "../api/queries";
import { useMay } from "../api/session";
import { quoted } from "../lib/filters";
import { proofOf, refusalWords } from "../lib/webhooks";
import { useAct } from "../ui/act";
import {
  Ago,
  Button,
  Card,
  Command,
  Empty,
  Fact,
  Facts,
  Fault,
  JsonView,
  Loading,
  Page,
  Prose,
  StatusBadge,
  Value,
} from "../ui/basics";
import { Ask } from "../ui/dialog";
import { Table } from "../ui/table";
import { IncomingDialog } from "./webhooks/incoming-dialog";
import { addressOf, IncomingGate } from "./webhooks/incoming-gate";

type Webhook = Schemas["IncomingWebhookView"];

export function IncomingWebhook() {
  const { name } = useParams({ from: "/webhooks/incoming/$name" });
  const { data, error, isPending } = useQuery(incomingWebhookQuery(name));
  const may = useMay();
  const [dialog, setDialog] = useState<"edit" | "remove">();
  if (error instanceof ApiError && error.problem.status === 404) {
    return (
      <Page title={`Incoming webhook ${name}`}>
        <Empty title="There is no such incoming webhook.">
          <Link to="/webhooks">To the webhooks</Link>
        </Empty>
      </Page>
    );
  }
  return (
    <Page
      title={`Incoming webhook ${name}`}
      actions={
        data !== undefined &&
        may("admin") && (
          <>
            <IncomingGate webhook={data} look="plain" />
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
          <Refusals webhook={data} />
        </>
      )}
      {dialog === "edit" && data !== undefined && <IncomingDialog was={data} onClose={() => setDialog(undefined)} />}
      {dialog === "remove" && <Remove name={name} onClose={() => setDialog(undefined)} />}
    </Page>
  );
}

function About({ webhook }: { webhook: Webhook }) {
  const proof = proofOf(webhook.proof.kind);
  return (
    <>
      <Facts>
        <Fact name="state">
          {webhook.paused ? <StatusBadge status="paused" /> : <span className="badge succeeded">on</span>}
        </Fact>
        <Fact name="proof">
          {proof.name}
          {webhook.proof.user != null && `, as ${webhook.proof.user}`}
        </Fact>
        <Fact name="shown in">
          {webhook.proof.header == null ? <Prose text={proof.shows} /> : <code>{webhook.proof.header}</code>}
        </Fact>
        {webhook.proof.tolerance_seconds != null && (
          <Fact name="its time may be off by">{webhook.proof.tolerance_seconds} s</Fact>
        )}
        {webhook.filter != null && (
          <Fact name="only if">
            <code>{webhook.filter}</code>
          </Fact>
        )}
        <Fact name="id of a delivery">
          {webhook.delivery_id == null ? "the usual one" : <code>{webhook.delivery_id}</code>}
        </Fact>
        <Fact name="made by">
          {webhook.created_by}, <Ago at={webhook.created_at} />
        </Fact>
      </Facts>
      <Card title="Deliver to">
        <div className="stack">
          <Value text={addressOf(webhook.path)} what="the address" />
          <p className="hint">
            As this engine is seen from here. Behind a proxy, the sender needs the proxy’s public name.
          </p>
        </div>
      </Card>
      <Card title="What is made of a delivery">
        <div className="stack">
          {webhook.start == null ? (
            <p>
              An event; <Link to="/events">Events</Link> shows what came, and what it started.
            </p>
          ) : (
            <p>
              A run of{" "}
              <Link to="/workflows/$name" params={{ name: webhook.start.workflow }}>
                {webhook.start.workflow}
              </Link>
              ;{" "}
              <Link to="/runs" search={{ workflow: webhook.start.workflow }}>
                see its runs
              </Link>
              .
            </p>
          )}
          <JsonView value={webhook.start?.run ?? webhook.publish} label="how it is made" />
        </div>
      </Card>
    </>
  );
}

/** As many as are kept of each webhook. */
const REFUSALS_MAX = 100;

function Refusals({ webhook: { name } }: { webhook: Webhook }) {
  const { data, error, isPending } = useQuery(refusalsQuery(name));
  const failures = data?.failures ?? [];
  return (
    <Card title="Refused deliveries">
      <div className="stack">
        <Fault error={error} />
        {isPending && <Loading />}
        {data !== undefined && failures.length === 0 && (
          <Empty title="None was refused in 30 days.">
            <p>What is refused is listed here with why. Once that is mended, the sender may deliver it again.</p>
          </Empty>
        )}
        {failures.length > 0 && (
          <Table
            label="refused deliveries"
            // Several may come at one instant: the place in the list tells them apart.
            rows={failures.map((failure, place) => ({ ...failure, place }))}
            rowKey={({ at, place }) => `${at} ${place}`}
            columns={[
              { name: "when", cell: ({ at }) => <Ago at={at} /> },
              {
                name: "reason",
                className: "grow wrap",
                cell: ({ reason }) => (
                  <>
                    <code>{reason}</code>
                    <p className="hint">{refusalWords(reason)}</p>
                  </>
                ),
              },
              { name: "from", wideOnly: true, className: "mono", cell: ({ address }) => address ?? "" },
            ]}
          />
        )}
        {failures.length >= REFUSALS_MAX && <p className="hint">The last {REFUSALS_MAX}.</p>}
        <Command text={`valet webhooks incoming failures ${quoted(name)}`} />
      </div>
    </Card>
  );
}

function Remove({ name, onClose }: { name: string; onClose: () => void }) {
  const navigate = useNavigate();
  const act = useAct({
    run: () => told(api.DELETE("/api/v1/webhooks/incoming/{name}", { params: { path: { name } } })),
    done: "Deleted.",
    after: () => void navigate({ to: "/webhooks", replace: true }),
  });
  return (
    <Ask
      title={`Delete the incoming webhook ${name}`}
      action="Delete it"
      danger
      busy={act.isPending}
      error={act.error}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>
        Its senders are told that there is no such webhook, and its list of refused deliveries goes. What it started
        goes on.
      </p>
      <Command text={`valet webhooks incoming remove ${quoted(name)}`} />
    </Ask>
  );
}

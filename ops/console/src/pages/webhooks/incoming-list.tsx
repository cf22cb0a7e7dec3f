// Webhooks of other services that come in.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { incomingWebhooksQuery } from "../../api/queries";
import { useMay } from "../../api/session";
import { makesWords, proofOf } from "../../lib/webhooks";
import { Copy, Empty, Fault, Loading, StatusBadge } from "../../ui/basics";
import { Table } from "../../ui/table";
import { addressOf, IncomingGate } from "./incoming-gate";

export function IncomingList() {
  const { data, error, isPending } = useQuery(incomingWebhooksQuery);
  const may = useMay();
  return (
    <>
      <Fault error={error} />
      {isPending && <Loading />}
      {data?.webhooks.length === 0 && (
        <Empty title="No service delivers here yet.">
          <p>
            An incoming webhook starts a run, or publishes an event, for each delivery that proves to be its sender’s:
            GitHub, Stripe, Slack, or whoever has its secret.{" "}
            {may("admin") ? "Make one above." : "Somebody with the role admin makes one."}
          </p>
        </Empty>
      )}
      {data !== undefined && data.webhooks.length > 0 && (
        <Table
          label="incoming webhooks"
          rows={data.webhooks}
          rowKey={({ name }) => name}
          columns={[
            {
              name: "webhook",
              cell: ({ name }) => (
                <Link to="/webhooks/incoming/$name" params={{ name }}>
                  <strong>{name}</strong>
                </Link>
              ),
            },
            {
              name: "delivers to",
              className: "grow mono",
              wideOnly: true,
              cell: ({ path, name }) => (
                <span className="row-actions">
                  <span className="clip" title={addressOf(path)}>
                    {path}
                  </span>
                  <Copy text={addressOf(path)} what={`the address of ${name}`} />
                </span>
              ),
            },
            { name: "proof", wideOnly: true, cell: ({ proof }) => proofOf(proof.kind).name },
            { name: "makes", cell: makesWords },
            {
              name: "state",
              cell: ({ paused }) =>
                paused ? <StatusBadge status="paused" /> : <span className="badge succeeded">on</span>,
            },
            {
              name: "actions",
              hidden: true,
              align: "right",
              cell: (webhook) =>
                may("admin") && (
                  <span className="row-actions">
                    <IncomingGate webhook={webhook} look="quiet" />
                  </span>
                ),
            },
          ]}
        />
      )}
    </>
  );
}

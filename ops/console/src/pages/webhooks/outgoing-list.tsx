// Servers that are told what happens here.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ApiError } from "../../api/client";
import { outgoingWebhooksQuery } from "../../api/outgoing";
import { useMay } from "../../api/session";
import { Empty, Fault, Loading, StatusBadge } from "../../ui/basics";
import { Table } from "../../ui/table";
import { OutgoingGate } from "./outgoing-gate";

export function OutgoingList() {
  const { data, error, isPending } = useQuery(outgoingWebhooksQuery);
  const may = useMay();
  // An engine of before, while a new one takes its place.
  if (error instanceof ApiError && error.problem.code === "route_not_found") {
    return <Empty title="This engine tells no servers: it is older than outgoing webhooks." />;
  }
  return (
    <>
      <Fault error={error} />
      {isPending && <Loading />}
      {data?.webhooks.length === 0 && (
        <Empty title="No server is told anything yet.">
          <p>
            An outgoing webhook tells a server what happens to runs and human tasks: signed, and again until it answers.{" "}
            {may("admin") ? "Make one above." : "Somebody with the role admin makes one."}
          </p>
        </Empty>
      )}
      {data !== undefined && data.webhooks.length > 0 && (
        <Table
          label="outgoing webhooks"
          rows={data.webhooks}
          rowKey={({ name }) => name}
          columns={[
            {
              name: "webhook",
              cell: ({ name }) => (
                <Link to="/webhooks/outgoing/$name" params={{ name }} search={{}}>
                  <strong>{name}</strong>
                </Link>
              ),
            },
            { name: "to", className: "mono", cell: ({ origin }) => <span className="clip">{origin}</span> },
            {
              name: "is told of",
              className: "grow",
              wideOnly: true,
              cell: ({ kinds }) => (
                <span className="tags">
                  {kinds.map((kind) => (
                    <span key={kind} className="tag">
                      {kind}
                    </span>
                  ))}
                </span>
              ),
            },
            { name: "of workflow", wideOnly: true, cell: ({ workflow }) => workflow ?? "all" },
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
                    <OutgoingGate webhook={webhook} look="quiet" />
                  </span>
                ),
            },
          ]}
        />
      )}
    </>
  );
}

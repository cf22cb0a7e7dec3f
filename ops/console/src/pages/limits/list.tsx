// The limits: how much may be at work at once or begin in a while, and what they hold back now.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Schemas } from "../../api/client";
import { limitsQuery } from "../../api/queries";
import { useMay } from "../../api/session";
import { type Load, rateWords, runWords } from "../../lib/limits";
import { Ago, Button, Card, Command, Empty, Fault, Loading } from "../../ui/basics";
import { Table } from "../../ui/table";
import { LimitDialog } from "./dialogs";
import { LOADS_MAX, useLoads } from "./loads";
import { Of } from "./of";

type Limit = Schemas["LimitView"];

export function Limits() {
  const { data, error, isPending } = useQuery(limitsQuery);
  const may = useMay();
  const [edited, setEdited] = useState<Limit | "new">();
  const limits = data?.limits ?? [];
  const loads = useLoads(limits);
  return (
    <Card
      title="Limits"
      aside={
        may("admin") && (
          <Button look="quiet" icon="plus" onClick={() => setEdited("new")}>
            New limit
          </Button>
        )
      }
    >
      <Fault error={error} />
      {isPending && <Loading />}
      {data !== undefined && limits.length === 0 && (
        <Empty title="No limit: as much is at work as workers have slots.">
          <p>A limit says how many runs or steps may be at work at once for each key, such as a site.</p>
        </Empty>
      )}
      {limits.length > 0 && (
        <Table
          label="limits"
          rows={limits}
          rowKey={({ name }) => name}
          columns={[
            {
              name: "limit",
              cell: ({ name }) => (
                <Link to="/limits/$name" params={{ name }}>
                  <strong>{name}</strong>
                </Link>
              ),
            },
            { name: "of", className: "grow", wideOnly: true, cell: (limit) => <Of limit={limit} /> },
            { name: "for each", wideOnly: true, cell: ({ key }) => (key == null ? "" : <code>{key}</code>) },
            { name: "allows", wideOnly: true, cell: (limit) => allowed(limit) },
            { name: "running", align: "right", cell: ({ name }) => <Figure load={loads.get(name)} of="running" /> },
            { name: "waiting", align: "right", cell: ({ name }) => <Figure load={loads.get(name)} of="waiting" /> },
            {
              name: "oldest",
              wideOnly: true,
              cell: ({ name }) => {
                const oldest = loads.get(name)?.oldest;
                return oldest === undefined ? "" : <Ago at={oldest} />;
              },
            },
            {
              name: "left alone",
              align: "right",
              wideOnly: true,
              cell: ({ name }) => loads.get(name)?.cooled.toLocaleString() ?? "",
            },
            {
              name: "actions",
              hidden: true,
              align: "right",
              cell: (limit) =>
                may("admin") && (
                  <Button look="quiet" icon="edit" aria-label={`edit ${limit.name}`} onClick={() => setEdited(limit)}>
                    Edit
                  </Button>
                ),
            },
          ]}
        />
      )}
      {limits.length > LOADS_MAX && (
        <p className="hint">
          What is at work and waits is told of the first {LOADS_MAX} here, of each on its own page.
        </p>
      )}
      <Command text="valet limits" />
      {edited !== undefined && (
        <LimitDialog {...(edited === "new" ? {} : { was: edited })} onClose={() => setEdited(undefined)} />
      )}
    </Card>
  );
}

function allowed(limit: Limit): string {
  const { most, rate } = limit;
  const parts = [
    most == null ? "" : `${most.toLocaleString()} at once`,
    rate == null ? "" : rateWords(rate),
    ...runWords(limit),
  ];
  return parts.filter(Boolean).join("; ");
}

function Figure({ load, of }: { load: Load | undefined; of: "running" | "waiting" }) {
  if (load === undefined) return <span className="faint">…</span>;
  return `${load[of].toLocaleString()}${load.isPart ? "+" : ""}`;
}

// Where steps wait, what limits hold back, and what is paused.
import { useQuery } from "@tanstack/react-query";
import { pausesQuery, queuesQuery } from "../api/queries";
import { useMay } from "../api/session";
import { useAct } from "../ui/act";
import { Ago, Button, Card, Command, Empty, Fault, Loading, Page } from "../ui/basics";
import { PauseButton, resume } from "../ui/pause-button";
import { Table } from "../ui/table";
import { Limits } from "./limits/list";

export function Queues() {
  const queues = useQuery(queuesQuery);
  const pauses = useQuery(pausesQuery);
  const may = useMay();
  const act = useAct<{ scope: string; name: string; everybody: boolean }>({
    run: ({ scope, name, everybody }) => resume(scope, name, everybody),
    done: "It goes on.",
    tellFailure: true,
  });
  const pauseOf = (name: string) => pauses.data?.pauses.find((pause) => pause.scope === "queue" && pause.name === name);
  return (
    <Page title="Queues and limits">
      <Fault error={queues.error ?? pauses.error} />
      {queues.isPending && <Loading />}
      {queues.data?.queues.length === 0 && (
        <Empty title="No queue yet.">
          <p>A queue appears with its first step or its first worker.</p>
        </Empty>
      )}
      {queues.data !== undefined && queues.data.queues.length > 0 && (
        <Table
          label="queues"
          rows={queues.data.queues}
          rowKey={({ name }) => name}
          rowClass={({ ready, workers }) => (ready > 0 && workers === 0 ? "bad" : undefined)}
          columns={[
            {
              name: "queue",
              className: "grow",
              cell: ({ name }) => (
                <span className="clip mono" title={name}>
                  {name}
                </span>
              ),
            },
            { name: "ready", align: "right", cell: ({ ready }) => ready.toLocaleString() },
            { name: "running", align: "right", cell: ({ running }) => running.toLocaleString() },
            {
              name: "backing off",
              align: "right",
              wideOnly: true,
              cell: ({ backing_off }) => backing_off.toLocaleString(),
            },
            {
              name: "workers",
              align: "right",
              cell: ({ workers, ready }) =>
                workers === 0 && ready > 0 ? <strong className="bad-text">none</strong> : workers.toLocaleString(),
            },
            {
              name: "free slots",
              align: "right",
              wideOnly: true,
              cell: ({ free_slots }) => free_slots.toLocaleString(),
            },
            {
              name: "actions",
              hidden: true,
              align: "right",
              cell: ({ name }) =>
                may("operate") && <PauseButton scope="queue" name={name} pause={pauseOf(name)} look="quiet" />,
            },
          ]}
        />
      )}
      <Limits />
      <Card title="Paused">
        {pauses.data?.pauses.length === 0 && <p className="nothing">Nothing is paused beside single runs.</p>}
        {pauses.data !== undefined && pauses.data.pauses.length > 0 && (
          <Table
            label="pauses"
            rows={pauses.data.pauses}
            rowKey={(pause) => `${pause.scope} ${pause.tenant} ${pause.name ?? ""}`}
            columns={[
              { name: "what", cell: ({ scope, name }) => `${scope} ${name ?? ""}` },
              { name: "whose", wideOnly: true, cell: ({ tenant }) => (tenant === "*" ? "every tenant’s" : tenant) },
              { name: "by", cell: ({ paused_by }) => paused_by },
              { name: "reason", className: "grow", cell: ({ reason }) => reason },
              { name: "since", cell: ({ at }) => <Ago at={at} /> },
              {
                name: "actions",
                hidden: true,
                align: "right",
                cell: ({ scope, name, tenant }) =>
                  may(scope === "engine" || scope === "tenant" ? "admin" : "operate") && (
                    <Button
                      look="quiet"
                      icon="play"
                      disabled={act.isPending}
                      onClick={() => act.mutate({ scope, name: name ?? tenant, everybody: tenant === "*" })}
                    >
                      Resume
                    </Button>
                  ),
              },
            ]}
          />
        )}
      </Card>
      <Command text="valet pauses" />
    </Page>
  );
}

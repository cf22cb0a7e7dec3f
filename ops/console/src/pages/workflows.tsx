// The workflows that there are: those of the engines' code, and those that were declared.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { pausesQuery, workflowsQuery } from "../api/queries";
import { useMay } from "../api/session";
import { Command, Empty, Fault, Loading, Page, Prose } from "../ui/basics";
import { Table } from "../ui/table";

export function Workflows() {
  const { data, error, isPending } = useQuery(workflowsQuery);
  const may = useMay();
  const pauses = useQuery({ ...pausesQuery, enabled: may("read") });
  const isPaused = (name: string) =>
    pauses.data?.pauses.some((pause) => pause.scope === "workflow" && pause.name === name) === true;
  return (
    <Page title="Workflows">
      <Fault error={error} />
      {isPending && <Loading />}
      {data?.workflows.length === 0 && <Empty title="No workflow that this token reaches." />}
      {data !== undefined && data.workflows.length > 0 && (
        <Table
          label="workflows"
          rows={data.workflows}
          rowKey={({ name }) => name}
          columns={[
            {
              name: "workflow",
              cell: ({ name }) => (
                <Link to="/workflows/$name" params={{ name }}>
                  {name}
                </Link>
              ),
            },
            { name: "kind", cell: ({ kind, version }) => (version == null ? kind : `${kind}, version ${version}`) },
            { name: "state", cell: ({ name }) => (isPaused(name) ? <span className="badge paused">paused</span> : "") },
            {
              name: "what",
              className: "grow",
              wideOnly: true,
              cell: ({ input_schema }) => (
                <span className="clip">
                  <Prose text={describe(input_schema)} />
                </span>
              ),
            },
            {
              name: "actions",
              hidden: true,
              align: "right",
              cell: ({ name }) => (
                <span className="row-actions">
                  {may("read") && (
                    <Link to="/runs" search={{ workflow: name }}>
                      Runs
                    </Link>
                  )}
                  {may("trigger") && (
                    <Link to="/workflows/$name/start" params={{ name }}>
                      Start
                    </Link>
                  )}
                </span>
              ),
            },
          ]}
        />
      )}
      <p className="hint">A workflow need not be code: steps, their parents and conditions as data are one too.</p>
      <Command text="valet workflows apply workflow.json" />
    </Page>
  );
}

function describe(schema: unknown): string {
  const description =
    typeof schema === "object" && schema !== null && "description" in schema ? schema.description : undefined;
  return typeof description === "string" ? description : "";
}

// One workflow: what its input wants, and of a declared one what it is.
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { newestRunsQuery, pausesQuery, workflowQuery } from "../api/queries";
import { useMay } from "../api/session";
import { isObject } from "../lib/json";
import { layers, tasksOf } from "../lib/graph";
import { Ago, Card, Empty, Fact, Facts, Fault, JsonView, Loading, Page, RunLink, StatusBadge } from "../ui/basics";
import { Graph } from "../ui/graph";
import { PauseButton } from "../ui/pause-button";

const RUNS_SHOWN = 8;

export function Workflow() {
  const { name } = useParams({ from: "/workflows/$name" });
  const may = useMay();
  const { data, error, isPending } = useQuery(workflowQuery(name));
  const pauses = useQuery({ ...pausesQuery, enabled: may("read") });
  const pause = pauses.data?.pauses.find((one) => one.scope === "workflow" && one.name === name);
  const tasks = isObject(data?.definition) ? tasksOf(data.definition) : [];
  return (
    <Page
      title={name}
      actions={
        <>
          {may("operate") && <PauseButton scope="workflow" name={name} pause={pause} />}
          {may("trigger") && (
            <Link to="/workflows/$name/start" params={{ name }} className="button main">
              Start a run
            </Link>
          )}
        </>
      }
    >
      <Fault error={error} />
      {isPending && <Loading />}
      {data !== undefined && (
        <div className="stack">
          <Facts>
            <Fact name="kind">{data.kind}</Fact>
            {data.version != null && <Fact name="version">{data.version}</Fact>}
            {data.created_by != null && <Fact name="registered by">{data.created_by}</Fact>}
            {data.created_at != null && (
              <Fact name="registered">
                <Ago at={data.created_at} />
              </Fact>
            )}
            {pause !== undefined && (
              <Fact name="paused by">
                {pause.paused_by} {pause.reason}
              </Fact>
            )}
          </Facts>
          {tasks.length > 0 && (
            <Card title="Steps">
              <Graph layers={layers(tasks)} />
            </Card>
          )}
          {may("read") && <Newest workflow={name} />}
          {data.definition != null && (
            <Card title="Definition">
              <JsonView value={data.definition} label="definition" />
            </Card>
          )}
          <Card title="Schema of the input">
            <JsonView value={data.input_schema} label="schema of the input" />
          </Card>
        </div>
      )}
    </Page>
  );
}

function Newest({ workflow }: { workflow: string }) {
  const { data } = useQuery(newestRunsQuery({ workflow }, RUNS_SHOWN));
  return (
    <Card
      title="Newest runs"
      aside={
        <Link to="/runs" search={{ workflow }}>
          all runs
        </Link>
      }
    >
      {data?.runs.length === 0 && <Empty title="No run yet." />}
      <ul className="rows">
        {data?.runs.map((run) => (
          <li key={run.id}>
            <RunLink id={run.id} />
            <StatusBadge status={run.status} paused={run.paused} />
            <span className="clip">{run.error_code ?? run.status_line ?? ""}</span>
            <Ago at={run.created_at} />
          </li>
        ))}
      </ul>
    </Card>
  );
}

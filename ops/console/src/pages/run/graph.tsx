// What led to what: of a declared workflow the graph that it is, of any other what the run did until now.
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import type { Schemas } from "../../api/client";
import { workflowQuery } from "../../api/queries";
import { layers, tasksOf, tasksOfRows, withStates } from "../../lib/graph";
import { isObject } from "../../lib/json";
import type { Story } from "../../lib/journal";
import { rowsOf } from "../../lib/waterfall";
import { Card, Empty, Loading } from "../../ui/basics";
import { Graph } from "../../ui/graph";

/** More than that nobody reads as a graph; the timeline has them all. */
const NODES_MAX = 80;

export function RunGraph({ run, story }: { run: Schemas["RunDetail"]; story: Story }) {
  const navigate = useNavigate({ from: "/runs/$id" });
  const workflow = useQuery(workflowQuery(run.workflow));
  if (workflow.isPending) return <Loading />;
  const rows = rowsOf(run.steps, story.spans);
  const declared = isObject(workflow.data?.definition) ? tasksOf(workflow.data.definition) : [];
  const tasks = declared.length > 0 ? withStates(declared, rows) : tasksOfRows(rows.slice(-NODES_MAX));
  if (tasks.length === 0) return <Empty title="No step yet." />;
  const choose = (name: string) => {
    const row = declared.length > 0 ? rows.findLast((one) => one.name === name) : undefined;
    const step = declared.length > 0 ? row?.seq : Number(name);
    if (step !== undefined) void navigate({ search: { view: "timeline", step }, replace: true });
  };
  const isCut = declared.length === 0 && rows.length > NODES_MAX;
  return (
    <Card
      title={declared.length > 0 ? "The workflow, and how far it is" : "What led to what"}
      aside={isCut && <span className="aside">the latest {NODES_MAX}; the timeline has all</span>}
    >
      <Graph layers={layers(tasks)} onChoose={choose} />
    </Card>
  );
}

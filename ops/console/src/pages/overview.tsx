// How it goes, in one look: what is wrong, what waits for a person, what fails, how much is done.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Schemas } from "../api/client";
import {
  countsQuery,
  limitsQuery,
  newestRunsQuery,
  pausesQuery,
  queuesQuery,
  readyQuery,
  sandboxesQuery,
  tasksQuery,
  workersQuery,
} from "../api/queries";
import { LIVE, NOT_WELL, STATUSES, type Status, writeStatuses } from "../lib/filters";
import { dollars } from "../lib/money";
import { isEnded, spentOn, utcDay } from "../lib/sandboxes";
import { histogram, median, sum } from "../lib/sample";
import { between, duration } from "../lib/time";
import { plural, spaced } from "../lib/words";
import { Ago, Card, Empty, Fault, Loading, Page, RunLink, StatusBadge } from "../ui/basics";
import { Bars } from "../ui/bars";
import { Deadline } from "../ui/deadline";
import { useNow } from "../ui/now";
import { Table } from "../ui/table";
import { Tile } from "../ui/tile";
import { Of } from "./limits/of";
import { LOADS_MAX, useLoads } from "./limits/loads";

/** As many as the API gives at once. */
const SAMPLE = 200;
const SHOWN = 6;

type Run = Schemas["RunSummary"];

const statusesOf = (group: readonly Status[]) => {
  const status = writeStatuses(group);
  return status === undefined ? {} : { status };
};

export function Overview() {
  const newest = useQuery(newestRunsQuery({}, SAMPLE));
  const live = useQuery(newestRunsQuery(statusesOf(LIVE), SAMPLE));
  const notWell = useQuery(newestRunsQuery(statusesOf(NOT_WELL), SAMPLE));
  const runs = newest.data?.runs;
  return (
    <Page title="Overview">
      <Fault error={newest.error ?? live.error} />
      <Health />
      {runs === undefined && newest.isPending && <Loading />}
      {runs?.length === 0 && (
        <Empty title="No run yet.">
          <p>
            <Link to="/workflows">Start one</Link> from a workflow, or{" "}
            <code>valet run WORKFLOW --input input.json</code>.
          </p>
        </Empty>
      )}
      {runs !== undefined && runs.length > 0 && (
        <div className="cards">
          <Throughput runs={runs} />
          <People />
          <Live runs={live.data?.runs ?? []} />
          <NotWell runs={notWell.data?.runs ?? []} />
          <Backlog />
          <HeldBack />
          <Slow runs={runs} />
        </div>
      )}
    </Page>
  );
}

function Health() {
  const counts = useQuery(countsQuery({}));
  const ready = useQuery(readyQuery);
  const workers = useQuery(workersQuery);
  const pauses = useQuery(pausesQuery);
  const tasks = useQuery(tasksQuery);
  const slots = workers.data?.workers.reduce((sum, worker) => sum + worker.slots, 0) ?? 0;
  const free = workers.data?.workers.reduce((sum, worker) => sum + worker.free_slots, 0) ?? 0;
  const live = counts.data?.live;
  const stuck = live?.stuck ?? 0;
  const parts = [ready.data?.postgres, ready.data?.redis];
  const ill = ready.data !== undefined && !ready.data.ready;
  return (
    <ul className="tiles">
      <Tile name="engine" tone={ready.data === undefined ? "none" : ill ? "bad" : "good"}>
        {ready.data === undefined ? "…" : ill ? "not ready" : "healthy"}
        {ill && <small>{parts.filter((part) => part !== "ok").join("; ")}</small>}
        {ready.data !== undefined && !ill && <small>Postgres and Redis answer</small>}
      </Tile>
      <Tile name="live runs" tone={stuck > 0 ? "bad" : "none"}>
        <Link to="/runs" search={statusesOf(LIVE)}>
          {live === undefined ? "…" : sum(live).toLocaleString()}
        </Link>
        <small>{stuck > 0 ? `${stuck} stuck` : "none is stuck"}</small>
      </Tile>
      <Tile name="for people" tone={(tasks.data?.tasks.length ?? 0) > 0 ? "warn" : "none"}>
        <Link to="/inbox">
          {tasks.data === undefined ? "…" : `${tasks.data.tasks.length}${tasks.data.next_cursor == null ? "" : "+"}`}
        </Link>
        <small>open tasks</small>
      </Tile>
      <Tile name="workers" tone={workers.data?.workers.length === 0 ? "bad" : "none"}>
        <Link to="/workers">{workers.data?.workers.length ?? "…"}</Link>
        <small>
          {free} of {plural(slots, "slot")} free
        </small>
      </Tile>
      <SandboxTile />
      <Tile name="paused" tone={(pauses.data?.pauses.length ?? 0) > 0 ? "warn" : "none"}>
        <Link to="/queues">{pauses.data?.pauses.length ?? "…"}</Link>
        <small>beside single runs</small>
      </Tile>
    </ul>
  );
}

function SandboxTile() {
  const { data } = useQuery(sandboxesQuery(false));
  const now = useNow();
  const live = data?.sandboxes.filter((one) => !isEnded(one));
  const left = live?.some((one) => one.left) ?? false;
  return (
    <Tile name="sandboxes" tone={left ? "warn" : "none"}>
      <Link to="/sandboxes">{live?.length.toLocaleString() ?? "…"}</Link>
      <small>{data === undefined ? "" : `${dollars(spentOn(utcDay(now), data.costs))} today`}</small>
    </Tile>
  );
}

function Throughput({ runs }: { runs: readonly Run[] }) {
  const now = useNow();
  const { data } = useQuery(countsQuery({}));
  const newest = runs.filter(({ ended_at }) => ended_at != null);
  const spent = runs.reduce((all, run) => all + (run.spent_usd_micros ?? 0), 0);
  const ended = sum(data?.ended ?? {});
  const good = data?.ended.succeeded ?? 0;
  return (
    <Card title="Ended runs" aside={<span className="aside">those that began within a day</span>}>
      {data !== undefined && <Bars bars={histogram(data)} />}
      <p className="figures">
        <span>
          <strong>{ended === 0 ? "–" : `${Math.round((good / ended) * 100)} %`}</strong> of {ended.toLocaleString()}
          {data?.counted_from == null ? "" : "+"} ended well
        </span>
        <span>
          <strong>{duration(median(newest.map((run) => between(run.created_at, run.ended_at, now))))}</strong> in the
          middle of the newest
        </span>
        <span>
          <strong>{dollars(spent)}</strong> spent by the newest
        </span>
      </p>
    </Card>
  );
}

function People() {
  const { data } = useQuery(tasksQuery);
  const tasks = data?.tasks ?? [];
  return (
    <Card title="Waits for a person" aside={<Link to="/inbox">inbox</Link>}>
      {tasks.length === 0 ? (
        <p className="nothing">Nobody is needed.</p>
      ) : (
        <ul className="rows">
          {tasks.slice(0, SHOWN).map((task) => (
            <li key={task.id}>
              <Link to="/inbox/$id" params={{ id: task.id }} className="clip">
                {task.title}
              </Link>
              <Deadline at={task.deadline} from={task.opened_at} />
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function Live({ runs }: { runs: readonly Run[] }) {
  const { data } = useQuery(countsQuery({}));
  const counts = STATUSES.map((status) => ({ status, count: data?.live[status] ?? 0 }));
  const paused = runs.filter((run) => run.paused || run.paused_by_scope != null).length;
  const oldest = [...runs].sort((a, b) => a.updated_at.localeCompare(b.updated_at)).slice(0, SHOWN - 2);
  return (
    <Card
      title="Live"
      aside={
        <Link to="/runs" search={statusesOf(LIVE)}>
          all live runs
        </Link>
      }
    >
      <p className="chips">
        {counts
          .filter(({ count }) => count > 0)
          .map(({ status, count }) => (
            <Link key={status} to="/runs" search={{ status }} className={`badge ${status}`}>
              {spaced(status)} {count.toLocaleString()}
            </Link>
          ))}
        {paused > 0 && <span className="badge paused">paused {paused}</span>}
      </p>
      {oldest.length === 0 ? (
        <p className="nothing">No run is live.</p>
      ) : (
        <>
          <h3>Longest without news</h3>
          <ul className="rows">
            {oldest.map((run) => (
              <li key={run.id}>
                <RunLink id={run.id} />
                <span className="clip">{run.status_line ?? spaced(run.status)}</span>
                <Ago at={run.updated_at} />
              </li>
            ))}
          </ul>
        </>
      )}
    </Card>
  );
}

function NotWell({ runs }: { runs: readonly Run[] }) {
  const kinds = new Map<string, { workflow: string; code: string; runs: Run[] }>();
  for (const run of runs) {
    const code = run.error_code ?? run.status;
    const kind = kinds.get(`${run.workflow} ${code}`) ?? { workflow: run.workflow, code, runs: [] };
    kind.runs.push(run);
    kinds.set(`${run.workflow} ${code}`, kind);
  }
  const sorted = [...kinds.values()].sort((a, b) => b.runs.length - a.runs.length).slice(0, SHOWN);
  return (
    <Card
      title="What fails, and where"
      aside={
        <Link to="/runs" search={statusesOf(NOT_WELL)}>
          all of them
        </Link>
      }
    >
      {sorted.length === 0 ? (
        <p className="nothing">Nothing has failed, and nothing is stuck.</p>
      ) : (
        <ul className="rows">
          {sorted.map(({ workflow, code, runs: of }) => (
            <li key={`${workflow} ${code}`}>
              <strong className="number">{of.length}</strong>
              <Link
                to="/runs"
                search={of[0]?.error_code == null ? { workflow, status: code } : { workflow, error_code: code }}
                className="clip"
              >
                {workflow} <code>{code}</code>
              </Link>
              {of[0] !== undefined && (
                <>
                  <RunLink id={of[0].id} />
                  <Ago at={of[0].updated_at} />
                </>
              )}
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function Backlog() {
  const { data } = useQuery(queuesQuery);
  const queues = [...(data?.queues ?? [])].sort((a, b) => b.ready - a.ready).slice(0, SHOWN);
  return (
    <Card title="Queues" aside={<Link to="/queues">all queues</Link>}>
      <Table
        label="queues"
        rows={queues}
        rowKey={({ name }) => name}
        columns={[
          { name: "queue", cell: (queue) => <span className="mono">{queue.name}</span> },
          { name: "ready", align: "right", cell: (queue) => queue.ready.toLocaleString() },
          { name: "running", align: "right", cell: (queue) => queue.running.toLocaleString() },
          { name: "free slots", align: "right", cell: (queue) => queue.free_slots.toLocaleString() },
        ]}
      />
    </Card>
  );
}

/** Limits for which something waits. */
function HeldBack() {
  const { data } = useQuery(limitsQuery);
  const limits = data?.limits ?? [];
  const loads = useLoads(limits);
  const holding = limits
    .flatMap((limit) => {
      const load = loads.get(limit.name);
      return load === undefined || load.waiting === 0 ? [] : [{ limit, load }];
    })
    .sort((a, b) => b.load.waiting - a.load.waiting)
    .slice(0, SHOWN);
  const known = limits.length > LOADS_MAX ? `, of the first ${LOADS_MAX} limits` : "";
  return (
    <Card title="Held back by limits" aside={<Link to="/queues">all limits</Link>}>
      {holding.length === 0 ? (
        <p className="nothing">{limits.length === 0 ? "There is no limit." : `No step waits for a slot${known}.`}</p>
      ) : (
        <ul className="rows">
          {holding.map(({ limit, load }) => (
            <li key={limit.name}>
              <Link to="/limits/$name" params={{ name: limit.name }}>
                {limit.name}
              </Link>
              <Of limit={limit} />
              <span className="number">{plural(load.waiting, "step")}</span>
              {load.oldest !== undefined && <Ago at={load.oldest} />}
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function Slow({ runs }: { runs: readonly Run[] }) {
  const now = useNow();
  const took = (run: Run) => between(run.created_at, run.ended_at, now);
  const slowest = [...runs].sort((a, b) => took(b) - took(a)).slice(0, SHOWN);
  return (
    <Card title="Slowest of the newest">
      <ul className="rows">
        {slowest.map((run) => (
          <li key={run.id}>
            <RunLink id={run.id} />
            <span className="clip">{run.workflow}</span>
            <StatusBadge status={run.status} paused={run.paused} />
            <span className="number">{duration(took(run))}</span>
          </li>
        ))}
      </ul>
    </Card>
  );
}

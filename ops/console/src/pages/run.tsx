// One run: where it stands and why, what it did when, and what can be done with it.
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { type ReactNode, useMemo } from "react";
import type { Schemas } from "../api/client";
import { useJournal } from "../api/journal-stream";
import { artifactsQuery, childrenQuery, queuesQuery, runQuery } from "../api/queries";
import { useMay } from "../api/session";
import { logsOf } from "../lib/journal";
import { dollars } from "../lib/money";
import { isReason, stepWords, words } from "../lib/reason";
import { decisionsOf, type TierDecision } from "../lib/tiers";
import { between, duration } from "../lib/time";
import { plural } from "../lib/words";
import { RUN_VIEWS, type RunView } from "../router";
import { Ago, Copy, Empty, Fact, Facts, Fault, Loading, Page, RunLink, StatusBadge, SubjectLink } from "../ui/basics";
import { useNow } from "../ui/now";
import { RunActions } from "./run/actions";
import { Children } from "./run/children";
import { Commands } from "./run/commands";
import { Data } from "./run/data";
import { Files } from "./run/files";
import { RunGraph } from "./run/graph";
import { Journal } from "./run/journal";
import { Logs } from "./run/logs";
import { TierDecisions } from "./run/tier";
import { Timeline } from "./run/timeline";

type Detail = Schemas["RunDetail"];

const VIEW_NAMES: Record<RunView, string> = {
  timeline: "Timeline",
  graph: "Graph",
  data: "Data",
  logs: "Logs",
  files: "Files",
  tier: "Tier",
  children: "Children",
  journal: "Journal",
  commands: "Command line",
};

export function Run() {
  const { id } = useParams({ from: "/runs/$id" });
  const run = useQuery(runQuery(id));
  if (run.isPending) {
    return (
      <Page title="Run">
        <Loading />
      </Page>
    );
  }
  if (run.data === undefined) {
    return (
      <Page title="Run">
        <Fault error={run.error}>
          <Link to="/runs">To the runs</Link>
        </Fault>
      </Page>
    );
  }
  return <Shown key={id} run={run.data} />;
}

function Shown({ run }: { run: Detail }) {
  const { view = "timeline" } = useSearch({ from: "/runs/$id" });
  const may = useMay();
  const mayRead = may("trigger", "operate", "answer");
  const stream = useJournal(run.id, mayRead);
  const { story } = stream;
  const files = useQuery(artifactsQuery(run.id));
  const decisions = useMemo(() => decisionsOf(run.steps), [run.steps]);
  const children = useQuery(childrenQuery(run.id));
  const logs = useMemo(() => logsOf(story.lines), [story.lines]);
  const counts: Partial<Record<RunView, number>> = {
    journal: run.entries ?? story.lines.length,
    files: files.data?.artifacts.length ?? 0,
    logs: logs.length,
  };
  // Of most runs there is nothing to show there.
  const hidden = new Set<RunView>();
  if (decisions.length === 0) hidden.add("tier");
  if ((children.data?.runs.length ?? 0) === 0) hidden.add("children");
  return (
    <Page
      title={
        <>
          <span className="mono run-id">{run.id}</span> <Copy text={run.id} what="the id" />
        </>
      }
      actions={may("operate") && <RunActions run={run} />}
    >
      <Head run={run} isLive={stream.state === "live"} tier={decisions.at(-1)} />
      <Tabs current={view} counts={counts} hidden={hidden} id={run.id} />
      {view === "timeline" && <Timeline run={run} story={story} hasJournal={story.lines.length > 0} />}
      {view === "graph" && <RunGraph run={run} story={story} />}
      {view === "data" && <Data run={run} />}
      {view === "journal" &&
        (mayRead ? <Journal run={run} lines={story.lines} state={stream.state} /> : <NotForViewers />)}
      {view === "logs" && (mayRead ? <Logs run={run} lines={logs} state={stream.state} /> : <NotForViewers />)}
      {view === "tier" && <TierDecisions decisions={decisions} />}
      {view === "children" && <Children run={run} />}
      {view === "files" && <Files files={files.data?.artifacts} steps={run.steps} error={files.error} />}
      {view === "commands" && <Commands run={run} />}
    </Page>
  );
}

function NotForViewers() {
  return (
    <Empty title="The journal has everything that people wrote: it is for those who operate, trigger or answer." />
  );
}

/** Why it is not moving; of a step that waits for a worker also whether there is one. */
function useWhy(run: Detail): string | undefined {
  const now = useNow();
  const may = useMay();
  const { reason } = run;
  const step = isReason(reason) && reason.kind === "step" ? run.steps.find(({ seq }) => seq === reason.seq) : undefined;
  const queues = useQuery({ ...queuesQuery, enabled: may("read") && step?.state === "ready" });
  if (run.ended_at != null) return undefined;
  if (step === undefined) return words(reason, now);
  return stepWords(step, queues.data?.queues.find(({ name }) => name === step.queue)?.workers);
}

/** Always one line: what is below it stays where it is. */
function Why({ run }: { run: Detail }) {
  const why = useWhy(run);
  if (run.ended_at != null) {
    return (
      <span>
        <strong>Ended</strong> <Ago at={run.ended_at} />
      </span>
    );
  }
  if (why === undefined && run.paused_by_scope == null) return <span>Its code is at work.</span>;
  return (
    <span>
      <strong>Waits for</strong> {why ?? "what it belongs to"}
      <LimitLink reason={run.reason} />
      {run.paused_by_scope != null && (
        <>
          {" "}
          · paused by its {run.paused_by_scope} (<Link to="/queues">pauses</Link>)
        </>
      )}
    </span>
  );
}

function LimitLink({ reason }: { reason: unknown }) {
  if (!isReason(reason) || reason.kind !== "limit" || typeof reason.limit !== "string") return null;
  const search = typeof reason.key === "string" && reason.key !== "" ? { key: reason.key } : {};
  return (
    <>
      {" "}
      ·{" "}
      <Link to="/limits/$name" params={{ name: reason.limit }} search={search} className="within">
        the limit
      </Link>
    </>
  );
}

interface HeadProps {
  run: Detail;
  isLive: boolean;
  /** The latest one. */
  tier: TierDecision | undefined;
}

function Head({ run, isLive, tier }: HeadProps) {
  const now = useNow();
  const open = run.tasks.find(({ state }) => state === "open" || state === "claimed");
  return (
    <section className="run-head" aria-label="state">
      <div className="run-state">
        <StatusBadge status={run.status} paused={run.paused} />
        {run.paused && <StatusBadge status={run.status} />}
        {run.status_line != null && <span className="status-line">{run.status_line}</span>}
        {run.progress != null && run.ended_at == null && <progress value={run.progress} aria-label="progress" />}
        {isLive && run.ended_at == null && (
          <span className="live" title="the journal streams">
            live
          </span>
        )}
      </div>
      <p className="why">
        <Why run={run} />
        {open !== undefined && (
          <Link to="/inbox/$id" params={{ id: open.id }} className="button main">
            Open the task
          </Link>
        )}
      </p>
      {run.error != null && (
        <p className="fault">
          <code>{run.error.code}</code> {run.error.message}
        </p>
      )}
      <Facts>
        <Fact name="workflow">
          <Link to="/workflows/$name" params={{ name: run.workflow }}>
            {run.workflow}
          </Link>
        </Fact>
        <Fact name="subject">
          <SubjectLink subject={run.subject} />
        </Fact>
        <Fact name="started">
          <Ago at={run.created_at} />
        </Fact>
        <Fact name={run.ended_at == null ? "runs for" : "took"}>
          {duration(between(run.created_at, run.ended_at, now))}
        </Fact>
        <Fact name="cost">
          {dollars(run.spent_usd_micros ?? 0)}
          {run.budget_usd_micros != null && ` of ${dollars(run.budget_usd_micros)}`}
        </Fact>
        <Fact name="plan">{run.plan}</Fact>
        {tier !== undefined && (
          <Fact name="tier">
            <Link
              to="/runs/$id"
              params={{ id: run.id }}
              search={{ view: "tier" }}
              title={tier.reasons.join("; ")}
              replace
            >
              {tier.tier}
            </Link>
          </Fact>
        )}
        {tier !== undefined && (
          <Fact name="browsers">
            <Link to="/sandboxes" search={{ all: true, find: run.id }}>
              its sandboxes
            </Link>
          </Fact>
        )}
        {run.parent != null && (
          <Fact name="parent">
            <RunLink id={run.parent} />
          </Fact>
        )}
        {run.forked_from != null && (
          <Fact name="forked from">
            <RunLink id={run.forked_from.run} /> at {run.forked_from.entry}, by {run.forked_from.by}
          </Fact>
        )}
        {run.generation != null && <Fact name="journals before">{plural(run.generation, "journal")}</Fact>}
        {Object.entries(run.attributes).map(([name, value]) => (
          <Fact key={name} name={name}>
            <Link to="/runs" search={{ attributes: JSON.stringify({ [name]: value }) }}>
              {String(value)}
            </Link>
          </Fact>
        ))}
      </Facts>
    </section>
  );
}

interface TabsProps {
  current: RunView;
  counts: Partial<Record<RunView, number>>;
  hidden: ReadonlySet<RunView>;
  id: string;
}

function Tabs({ current, counts, hidden, id }: TabsProps) {
  const navigate = useNavigate();
  const go = (view: RunView) => void navigate({ to: "/runs/$id", params: { id }, search: { view }, replace: true });
  return (
    <div className="tabs" role="tablist" aria-label="views of the run">
      {RUN_VIEWS.filter((view) => view === current || !hidden.has(view)).map((view): ReactNode => {
        const count = counts[view] ?? 0;
        return (
          <button key={view} type="button" role="tab" aria-selected={view === current} onClick={() => go(view)}>
            {VIEW_NAMES[view]}
            {count > 0 && <span className="count quiet">{count}</span>}
          </button>
        );
      })}
    </div>
  );
}

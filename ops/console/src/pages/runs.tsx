// The list of runs: live, filtered by its URL, a page after the other.
import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { type SubmitEvent, useEffect, useRef, useState } from "react";
import type { Schemas } from "../api/client";
import { runsQuery, workflowsQuery } from "../api/queries";
import { useMay } from "../api/session";
import {
  filterCommand,
  LIVE,
  NOT_WELL,
  readStatuses,
  type RunFilter,
  type Status,
  STATUSES,
  toggleStatuses,
} from "../lib/filters";
import { dollars } from "../lib/money";
import { words } from "../lib/reason";
import { between, duration } from "../lib/time";
import { plural, spaced } from "../lib/words";
import { Ago, Button, Command, Empty, Fault, Loading, Page, RunLink, StatusBadge, SubjectLink } from "../ui/basics";
import { BulkActions } from "../ui/bulk";
import { useHotkeys } from "../ui/hotkeys";
import { useNow } from "../ui/now";
import { type Column, LongTable } from "../ui/table";

type Run = Schemas["RunSummary"];

const ROW_PX = 32;
const RUN_ID = /^run_[0-9a-f]{32}$/;

const GROUPS: { name: string; of: readonly Status[] }[] = [
  { name: "live", of: LIVE },
  { name: "not well", of: NOT_WELL },
];

export function Runs() {
  const filter = useSearch({ from: "/runs" });
  const navigate = useNavigate({ from: "/runs" });
  const query = useInfiniteQuery(runsQuery(filter));
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const may = useMay();
  const runs = query.data?.pages.flatMap((page) => page.runs) ?? [];
  const change = (next: RunFilter) => {
    setChosen(new Set());
    void navigate({ search: next, replace: true });
  };
  const isFiltered = Object.keys(filter).length > 0;
  return (
    <Page title="Runs" actions={may("trigger") && <StartMenu />}>
      <Filters filter={filter} onChange={change} />
      {may("operate") && (
        <BulkActions filter={filter} chosen={chosen} runs={runs} onDone={() => setChosen(new Set())} />
      )}
      <Fault error={query.error} />
      {query.isPending && <Loading />}
      {query.isSuccess && runs.length === 0 && (
        <Empty title={isFiltered ? "No run fits these filters." : "No run yet."}>
          {isFiltered ? (
            <Button onClick={() => change({})}>Clear the filters</Button>
          ) : (
            <p>
              Start one from a <Link to="/workflows">workflow</Link>, or with{" "}
              <code>valet run WORKFLOW --input input.json</code>.
            </p>
          )}
        </Empty>
      )}
      {runs.length > 0 && (
        <LongTable
          label="runs"
          rows={runs}
          rowKey={({ id }) => id}
          rowHeight={ROW_PX}
          columns={columnsOf(may("operate") ? { chosen, setChosen } : undefined)}
          rowClass={({ id }) => (chosen.has(id) ? "chosen" : undefined)}
          foot={<More query={query} count={runs.length} />}
        />
      )}
      <Command text={filterCommand(filter)} />
    </Page>
  );
}

interface Choice {
  chosen: ReadonlySet<string>;
  setChosen: (next: ReadonlySet<string>) => void;
}

const COLUMNS: Column<Run>[] = [
  { name: "run", cell: (run) => <RunLink id={run.id} /> },
  { name: "workflow", wideOnly: true, cell: (run) => run.workflow },
  {
    name: "status",
    cell: (run) => <StatusBadge status={run.status} paused={run.paused || run.paused_by_scope != null} />,
  },
  { name: "what", className: "grow", cell: (run) => <What run={run} /> },
  { name: "subject", wideOnly: true, cell: (run) => <SubjectLink subject={run.subject} /> },
  { name: "started", wideOnly: true, cell: (run) => <Ago at={run.created_at} /> },
  { name: "took", align: "right", wideOnly: true, cell: (run) => <Took run={run} /> },
  {
    name: "cost",
    align: "right",
    wideOnly: true,
    cell: (run) => (run.spent_usd_micros == null ? "" : dollars(run.spent_usd_micros)),
  },
];

/** Who may do nothing with runs chooses none. */
function columnsOf(choice: Choice | undefined): Column<Run>[] {
  if (choice === undefined) return COLUMNS;
  const { chosen, setChosen } = choice;
  const toggle = (id: string) => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    setChosen(next);
  };
  const cell = ({ id }: Run) => (
    <input type="checkbox" aria-label={`choose ${id}`} checked={chosen.has(id)} onChange={() => toggle(id)} />
  );
  return [{ name: "choose", hidden: true, className: "choose", cell }, ...COLUMNS];
}

/** The one thing that says most of a run: its error, else why it waits, else what it says of itself. */
function What({ run }: { run: Run }) {
  const now = useNow();
  const said = run.error_code ?? (run.ended_at == null ? words(run.reason, now) : undefined) ?? run.status_line ?? "";
  return (
    <span className="clip" title={said}>
      {run.progress != null && run.ended_at == null && <progress value={run.progress} aria-label="progress" />}
      {run.error_code == null ? said : <code>{said}</code>}
    </span>
  );
}

function Took({ run }: { run: Run }) {
  const now = useNow();
  return <>{duration(between(run.created_at, run.ended_at, now))}</>;
}

interface Pages {
  hasNextPage: boolean;
  isFetchingNextPage: boolean;
  fetchNextPage: () => unknown;
}

/** Reads on when it comes into sight. */
function More({ query, count }: { query: Pages; count: number }) {
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = query;
  const end = useRef<HTMLParagraphElement>(null);
  useEffect(() => {
    const element = end.current;
    if (element === null || !hasNextPage) return undefined;
    const watcher = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) void fetchNextPage();
    });
    watcher.observe(element);
    return () => watcher.disconnect();
  }, [hasNextPage, fetchNextPage, count]);
  return (
    <p className="table-end" ref={end} role="status">
      {isFetchingNextPage
        ? "reading on…"
        : hasNextPage
          ? `${count.toLocaleString()} so far`
          : `${plural(count, "run")}, and no more`}
    </p>
  );
}

function Filters({ filter, onChange }: { filter: RunFilter; onChange: (next: RunFilter) => void }) {
  const statuses = readStatuses(filter.status);
  const workflows = useQuery(workflowsQuery);
  return (
    <div className="filters">
      <Search filter={filter} onChange={onChange} />
      <label className="inline">
        <span className="read-only">workflow</span>
        <select
          value={filter.workflow ?? ""}
          onChange={(event) => {
            const { workflow: _, ...rest } = filter;
            onChange(event.target.value === "" ? rest : { ...rest, workflow: event.target.value });
          }}
        >
          <option value="">every workflow</option>
          {names(workflows.data, filter.workflow).map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      <div className="chips" role="group" aria-label="status">
        {GROUPS.map(({ name, of }) => (
          <button
            key={name}
            type="button"
            className="chip"
            aria-pressed={of.every((status) => statuses.includes(status))}
            onClick={() => onChange(toggleStatuses(filter, of))}
          >
            {name}
          </button>
        ))}
        <span className="divider" />
        {STATUSES.map((status) => (
          <button
            key={status}
            type="button"
            className={`chip ${status}`}
            aria-pressed={statuses.includes(status)}
            onClick={() => onChange(toggleStatuses(filter, [status]))}
          >
            {spaced(status)}
          </button>
        ))}
      </div>
      {Object.keys(filter).length > 0 && (
        <Button look="quiet" icon="close" onClick={() => onChange({})}>
          Clear
        </Button>
      )}
    </div>
  );
}

/** Those of the list, and the one in the URL, which may be gone. */
function names(list: Schemas["WorkflowList"] | undefined, chosen: string | undefined): string[] {
  const known = list?.workflows.map(({ name }) => name) ?? [];
  return chosen === undefined || known.includes(chosen) ? known : [...known, chosen];
}

/** A run's id leads to it; everything else is a subject. */
function Search({ filter, onChange }: { filter: RunFilter; onChange: (next: RunFilter) => void }) {
  const navigate = useNavigate();
  const input = useRef<HTMLInputElement>(null);
  useHotkeys({ "/": () => input.current?.focus() });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const text = input.current?.value.trim() ?? "";
    if (RUN_ID.test(text)) {
      void navigate({ to: "/runs/$id", params: { id: text } });
      return;
    }
    const { subject: _, ...rest } = filter;
    onChange(text === "" ? rest : { ...rest, subject: text });
  };
  return (
    <form onSubmit={submit} role="search" className="search">
      <input
        key={filter.subject}
        ref={input}
        type="search"
        aria-label="a subject, or a run's id"
        placeholder="subject, or run_…"
        defaultValue={filter.subject}
      />
    </form>
  );
}

function StartMenu() {
  const { data } = useQuery({ ...workflowsQuery, placeholderData: keepPreviousData });
  const navigate = useNavigate();
  return (
    <label className="inline">
      <span className="read-only">start a run of</span>
      <select
        className="button main"
        value=""
        onChange={(event) => void navigate({ to: "/workflows/$name/start", params: { name: event.target.value } })}
      >
        <option value="" disabled>
          Start a run…
        </option>
        {data?.workflows.map(({ name }) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  );
}

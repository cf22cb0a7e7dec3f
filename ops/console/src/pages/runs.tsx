// The list of runs: live, filtered by its URL, a page after the other.
import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { type SubmitEvent, useEffect, useRef, useState } from "react";
import type { Schemas } from "../api/client";
import { countsQuery, runsQuery, workflowsQuery } from "../api/queries";
import { useMay } from "../api/session";
import {
  attributeOf,
  filterCommand,
  LIVE,
  NOT_WELL,
  readAttributes,
  readStatuses,
  type RunFilter,
  type Status,
  STATUSES,
  toggleStatuses,
  without,
  writeAttributes,
} from "../lib/filters";
import { dollars } from "../lib/money";
import { words } from "../lib/reason";
import { histogram, sum } from "../lib/sample";
import { between, duration } from "../lib/time";
import { plural, spaced } from "../lib/words";
import { Ago, Button, Command, Empty, Fault, Loading, Page, RunLink, StatusBadge, SubjectLink } from "../ui/basics";
import { Bars } from "../ui/bars";
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
      <OverTime filter={filter} />
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
          columns={columnsOf(may("operate") ? { runs, chosen, setChosen } : undefined)}
          rowClass={({ id }) => (chosen.has(id) ? "chosen" : undefined)}
          foot={<More query={query} count={runs.length} />}
        />
      )}
      <Command text={filterCommand(filter)} />
    </Page>
  );
}

interface Choice {
  runs: readonly Run[];
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
  const { runs, chosen, setChosen } = choice;
  const toggle = (id: string) => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    setChosen(next);
  };
  const cell = ({ id }: Run) => (
    <input type="checkbox" aria-label={`choose ${id}`} checked={chosen.has(id)} onChange={() => toggle(id)} />
  );
  const all = runs.every(({ id }) => chosen.has(id));
  const head = (
    <input
      type="checkbox"
      aria-label={`choose all ${plural(runs.length, "run")} that are listed`}
      checked={all}
      ref={(box) => {
        if (box !== null) box.indeterminate = !all && chosen.size > 0;
      }}
      onChange={() => setChosen(all ? new Set() : new Set(runs.map(({ id }) => id)))}
    />
  );
  return [{ name: "choose", head, className: "choose", cell }, ...COLUMNS];
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
  const counts = useQuery(countsQuery(filter)).data;
  const count = (status: Status) => counts?.live[status] ?? counts?.ended[status];
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
            {count(status) !== undefined && <small className="number">{count(status)?.toLocaleString()}</small>}
          </button>
        ))}
      </div>
      <Times filter={filter} onChange={onChange} />
      <Others filter={filter} onChange={onChange} />
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

const TIMES = [
  { name: "the last hour", ms: 3_600_000 },
  { name: "the last day", ms: 86_400_000 },
  { name: "the last 7 days", ms: 7 * 86_400_000 },
  { name: "the last 30 days", ms: 30 * 86_400_000 },
];

/** From when on runs began. The URL holds the instant, so that a link shows the same runs later. */
function Times({ filter, onChange }: { filter: RunFilter; onChange: (next: RunFilter) => void }) {
  const from = filter.created_from;
  return (
    <label className="inline">
      <span className="read-only">began</span>
      <select
        value={from === undefined ? "" : "then"}
        onChange={({ target }) => {
          const ms = Number(target.value);
          onChange(
            target.value === ""
              ? without(without(filter, "created_from"), "created_before")
              : { ...filter, created_from: new Date(Date.now() - ms).toISOString() },
          );
        }}
      >
        <option value="">at any time</option>
        {from !== undefined && <option value="then">since {new Date(from).toLocaleString()}</option>}
        {TIMES.map(({ name, ms }) => (
          <option key={ms} value={ms}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

/** What else is filtered by, each with a way out of it. */
function Others({ filter, onChange }: { filter: RunFilter; onChange: (next: RunFilter) => void }) {
  const attributes = readAttributes(filter.attributes);
  const others = Object.entries(attributes).map(([name, value]) => {
    const { [name]: _, ...rest } = attributes;
    const left = writeAttributes(rest);
    const next = without(filter, "attributes");
    return { text: `${name}=${String(value)}`, next: left === undefined ? next : { ...next, attributes: left } };
  });
  for (const name of ["error_code", "parent", "created_before"] as const) {
    const value = filter[name];
    if (value !== undefined) others.push({ text: `${spaced(name)} ${value}`, next: without(filter, name) });
  }
  return (
    <>
      {others.map(({ text, next }) => (
        <button key={text} type="button" className="chip" aria-pressed onClick={() => onChange(next)}>
          {text} ✕<span className="read-only"> remove this filter</span>
        </button>
      ))}
    </>
  );
}

/** The ended ones of what the filters let through, by when they began. */
function OverTime({ filter }: { filter: RunFilter }) {
  const counts = useQuery(countsQuery(filter)).data;
  if (counts === undefined || sum(counts.ended) === 0) return null;
  const more = counts.counted_from == null ? "" : ` after ${new Date(counts.counted_from).toLocaleString()}`;
  return (
    <details className="over-time">
      <summary>
        {plural(sum(counts.ended), "run")} that began {filter.created_from === undefined ? "within a day" : "then"}
        {more} ended
      </summary>
      <Bars bars={histogram(counts)} />
    </details>
  );
}

/** A run's id leads to it; `name=value` is an attribute, everything else a subject. */
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
    const attribute = attributeOf(text);
    if (attribute !== undefined) {
      if (input.current !== null) input.current.value = filter.subject ?? "";
      const [name, value] = attribute;
      const attributes = writeAttributes({ ...readAttributes(filter.attributes), [name]: value });
      onChange({ ...filter, ...(attributes === undefined ? {} : { attributes }) });
      return;
    }
    const rest = without(filter, "subject");
    onChange(text === "" ? rest : { ...rest, subject: text });
  };
  return (
    <form onSubmit={submit} role="search" className="search">
      <input
        key={filter.subject}
        ref={input}
        type="search"
        aria-label="a subject, an attribute as name=value, or a run's id"
        placeholder="subject, name=value, or run_…"
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

// The browsers that runs have: whose each is, under which lease, what it costs, and the end of one.
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { api, type Schemas, told } from "../api/client";
import { sandboxesQuery } from "../api/queries";
import { useMay } from "../api/session";
import { quoted } from "../lib/filters";
import { dollars } from "../lib/money";
import {
  ageOf,
  badgeOf,
  brief,
  type Day,
  daysOf,
  isEnded,
  matching,
  SANDBOXES_MAX,
  spentOn,
  utcDay,
} from "../lib/sandboxes";
import { duration } from "../lib/time";
import { plural, spaced } from "../lib/words";
import { useAct } from "../ui/act";
import { Ago, Button, Card, Command, Empty, Fault, Loading, Page, RunLink } from "../ui/basics";
import { Ask } from "../ui/dialog";
import { useNow } from "../ui/now";
import { type Column, AnyTable, Table } from "../ui/table";
import { Tile } from "../ui/tile";

type Sandbox = Schemas["SandboxView"];

const ROW_PX = 35;

export function Sandboxes() {
  const { all = false, find } = useSearch({ from: "/sandboxes" });
  // The address follows what is typed: it may come later than the next letter.
  const [words, setWords] = useState(find ?? "");
  const navigate = useNavigate({ from: "/sandboxes" });
  const { data, error, isPending } = useQuery(sandboxesQuery(all));
  const [killed, setKilled] = useState<Sandbox>();
  const search = (next: { all: boolean; find: string }) => {
    const search = { ...(next.all ? { all: true as const } : {}), ...(next.find === "" ? {} : { find: next.find }) };
    void navigate({ search, replace: true });
  };
  const rows = matching(data?.sandboxes ?? [], words);
  return (
    <Page title="Sandboxes">
      <Fault error={error} />
      {data !== undefined && <Figures list={data} />}
      <div className="filters">
        <div className="search">
          <input
            type="search"
            aria-label="only those with"
            placeholder="id, run, tier, state, where"
            value={words}
            onChange={(event) => {
              setWords(event.target.value);
              search({ all, find: event.target.value });
            }}
          />
        </div>
        <button type="button" className="chip" aria-pressed={all} onClick={() => search({ all: !all, find: words })}>
          ended ones too
        </button>
      </div>
      {isPending && <Loading />}
      {data !== undefined && rows.length === 0 && <Nothing all={all} isFiltered={words.trim() !== ""} />}
      {rows.length > 0 && (
        <List sandboxes={rows} isPart={(data?.sandboxes.length ?? 0) >= SANDBOXES_MAX} onKill={setKilled} />
      )}
      {data !== undefined && <Costs days={daysOf(data.costs)} />}
      <Command text={all ? "valet sandboxes list --all" : "valet sandboxes"} />
      {killed !== undefined && <Kill sandbox={killed} onClose={() => setKilled(undefined)} />}
    </Page>
  );
}

function Nothing({ all, isFiltered }: { all: boolean; isFiltered: boolean }) {
  if (isFiltered) return <Empty title="No sandbox has these words." />;
  return (
    <Empty title={all ? "No run has had a sandbox yet." : "No run has a sandbox now."}>
      <p>A run has one from the step that needs a browser until it is done with it.</p>
    </Empty>
  );
}

function Figures({ list: { sandboxes, costs } }: { list: Schemas["SandboxList"] }) {
  const now = useNow();
  const live = sandboxes.filter((one) => !isEnded(one));
  const left = live.filter((one) => one.left).length;
  const spent = live.reduce((sum, one) => sum + one.cost_usd_micros, 0);
  return (
    <ul className="tiles">
      <Tile name="there now" tone="none">
        {live.length.toLocaleString()}
        <small>{live.filter(({ state }) => state === "in_use").length.toLocaleString()} in use</small>
      </Tile>
      <Tile name="nobody looks after" tone={left > 0 ? "warn" : "none"}>
        {left.toLocaleString()}
        <small>{left > 0 ? "ended soon by themselves" : "each has its run"}</small>
      </Tile>
      <Tile name="today" tone="none">
        {dollars(spentOn(utcDay(now), costs))}
        <small>as of each one’s last change</small>
      </Tile>
      <Tile name="those there now cost" tone="none">
        {dollars(spent)}
        <small>until now</small>
      </Tile>
    </ul>
  );
}

interface ListProps {
  sandboxes: readonly Sandbox[];
  /** There are more than the answer has. */
  isPart: boolean;
  onKill: (sandbox: Sandbox) => void;
}

function List({ sandboxes, isPart, onKill }: ListProps) {
  const may = useMay();
  const now = useNow();
  const columns: Column<Sandbox>[] = [
    {
      name: "sandbox",
      wideOnly: true,
      cell: ({ id }) => (
        <span className="mono" title={id}>
          {brief(id)}
        </span>
      ),
    },
    { name: "tier", cell: ({ tier }) => tier },
    {
      name: "state",
      cell: (one) => (
        <span className="row-actions">
          <span className={`badge ${badgeOf(one)}`}>{spaced(one.state)}</span>
          {one.left && !isEnded(one) && <span className="badge waiting">left</span>}
        </span>
      ),
    },
    { name: "run", cell: ({ run }) => (run == null ? <span className="faint">none</span> : <RunLink id={run} />) },
    {
      name: "where",
      wideOnly: true,
      cell: ({ provider, host }) => [provider, host].filter(Boolean).join(" "),
    },
    { name: "age", align: "right", cell: (one) => duration(ageOf(one, now)) },
    {
      name: "lease ends",
      wideOnly: true,
      cell: (one) => (isEnded(one) ? "" : <Ago at={one.lease_until} />),
    },
    { name: "cost", align: "right", cell: ({ cost_usd_micros }) => dollars(cost_usd_micros) },
    {
      name: "why",
      className: "grow",
      wideOnly: true,
      cell: ({ reason }) => (
        <span className="clip" title={reason ?? undefined}>
          {reason}
        </span>
      ),
    },
    {
      name: "actions",
      hidden: true,
      align: "right",
      cell: (one) =>
        may("operate") &&
        !isEnded(one) && (
          <Button look="quiet" icon="skull" title="kill it" aria-label={`kill ${one.id}`} onClick={() => onKill(one)} />
        ),
    },
  ];
  return (
    <AnyTable
      label="sandboxes"
      rows={sandboxes}
      rowKey={({ id }) => id}
      rowHeight={ROW_PX}
      rowClass={(one) => (one.left && !isEnded(one) ? "bad" : undefined)}
      columns={columns}
      foot={
        <p className="table-end">
          {plural(sandboxes.length, "sandbox", "sandboxes")}
          {isPart && `, of the newest ${SANDBOXES_MAX.toLocaleString()}`}
        </p>
      }
    />
  );
}

function Costs({ days }: { days: readonly Day[] }) {
  const tiers = [...new Set(days.flatMap((day) => [...day.tiers.keys()]))].sort();
  const together = days.reduce((sum, { usd_micros }) => sum + usd_micros, 0);
  return (
    <Card
      title="Costs"
      aside={
        <span className="aside">
          {days.length > 0 && `${dollars(together)} in ${plural(days.length, "day")}, `}by days of UTC
        </span>
      }
    >
      {days.length === 0 ? (
        <p className="nothing">
          Nothing was metered yet. What an hour of a tier costs is said by its rule, <code>usd_per_hour</code>.
        </p>
      ) : (
        <Table
          label="costs by day"
          rows={days}
          rowKey={({ day }) => day}
          columns={[
            { name: "day", cell: ({ day }) => <time dateTime={day}>{day}</time> },
            ...tiers.map((tier): Column<Day> => ({
              name: tier,
              align: "right",
              wideOnly: true,
              cell: ({ tiers: of }) => {
                const cost = of.get(tier);
                return cost === undefined ? "" : dollars(cost.usd_micros);
              },
            })),
            { name: "there for", align: "right", cell: ({ seconds }) => duration(seconds * 1_000) },
            { name: "together", align: "right", cell: ({ usd_micros }) => <strong>{dollars(usd_micros)}</strong> },
          ]}
        />
      )}
      <p className="hint">Of those that are there now it counts what they cost until they last changed.</p>
    </Card>
  );
}

function Kill({ sandbox: { id, run, tier }, onClose }: { sandbox: Sandbox; onClose: () => void }) {
  const [reason, setReason] = useState("");
  const act = useAct({
    run: () => told(api.POST("/api/v1/sandboxes/{id}/kill", { params: { path: { id } }, body: { reason } })),
    done: "Whoever held it has lost it; its worker destroys it.",
    after: onClose,
  });
  const why = reason.trim() === "" ? "" : ` --reason ${quoted(reason.trim())}`;
  return (
    <Ask
      title={`Kill the sandbox ${brief(id)}`}
      action="Kill it"
      danger
      busy={act.isPending}
      error={act.error}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>
        Whoever holds this sandbox of the tier {tier} has lost it at once.{" "}
        {run == null ? (
          "It has no run."
        ) : (
          <>
            The run <RunLink id={run} /> takes another.
          </>
        )}
      </p>
      <div className="field">
        <label htmlFor="kill-reason">
          Reason, for whoever looks later <span className="optional">optional</span>
        </label>
        <input id="kill-reason" value={reason} onChange={(event) => setReason(event.target.value)} maxLength={256} />
      </div>
      <Command text={`valet sandboxes kill ${quoted(id)}${why}`} />
    </Ask>
  );
}

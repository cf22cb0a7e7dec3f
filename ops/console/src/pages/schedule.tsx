// One schedule: what it starts and when, what became of its instants, and what can be done with it.
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { api, newKey, type Schemas, told } from "../api/client";
import { firesQuery, scheduleQuery } from "../api/queries";
import { useMay } from "../api/session";
import { quoted } from "../lib/filters";
import { FIRE_STATES, instantOf, localInput, OVERLAPS, whenWords } from "../lib/schedules";
import { duration } from "../lib/time";
import { plural, spaced } from "../lib/words";
import { useAct } from "../ui/act";
import {
  Ago,
  Button,
  Card,
  Command,
  Empty,
  Fact,
  Facts,
  Fault,
  JsonView,
  Loading,
  Page,
  RunLink,
  StatusBadge,
  SubjectLink,
} from "../ui/basics";
import { Ask } from "../ui/dialog";
import { NextFires } from "../ui/next-fires";
import { Table } from "../ui/table";
import { toast } from "../ui/toast";

type View = Schemas["ScheduleView"];

export function Schedule() {
  const { name } = useParams({ from: "/schedules/$name" });
  const { data, error, isPending } = useQuery(scheduleQuery(name));
  return (
    <Page title={name} actions={data !== undefined && <Actions schedule={data} />}>
      <Fault error={error}>{data === undefined && <Link to="/schedules">To the schedules</Link>}</Fault>
      {isPending && <Loading />}
      {data !== undefined && <Shown schedule={data} />}
      <Command text={`valet schedules show ${quoted(name)}`} />
    </Page>
  );
}

type Asked = "trigger" | "backfill" | "delete";

function Actions({ schedule }: { schedule: View }) {
  const may = useMay();
  const [asked, setAsked] = useState<Asked>();
  const params = { path: { name: schedule.name } };
  const pause = useAct({
    run: () => told(api.POST("/api/v1/schedules/{name}/pause", { params })),
    done: "Paused: its instants pass without a run.",
    tellFailure: true,
  });
  const resume = useAct({
    run: () => told(api.POST("/api/v1/schedules/{name}/resume", { params })),
    done: "It goes on with its next instant.",
    tellFailure: true,
  });
  const close = () => setAsked(undefined);
  return (
    <>
      {may("operate") &&
        (schedule.paused ? (
          <Button icon="play" look="main" onClick={() => resume.mutate()} disabled={resume.isPending}>
            Resume
          </Button>
        ) : (
          <Button icon="pause" onClick={() => pause.mutate()} disabled={pause.isPending}>
            Pause
          </Button>
        ))}
      {may("trigger") && (
        <>
          <Button icon="play" onClick={() => setAsked("trigger")}>
            Trigger now
          </Button>
          {schedule.cron != null && <Button onClick={() => setAsked("backfill")}>Backfill</Button>}
          <Link to="/new-schedule" search={{ of: schedule.name }} className="button">
            Edit
          </Link>
          <Button look="danger" onClick={() => setAsked("delete")}>
            Delete
          </Button>
        </>
      )}
      {asked === "trigger" && <Trigger schedule={schedule} onClose={close} />}
      {asked === "backfill" && <Backfill schedule={schedule} onClose={close} />}
      {asked === "delete" && <Delete schedule={schedule} onClose={close} />}
    </>
  );
}

function Shown({ schedule }: { schedule: View }) {
  return (
    <>
      {schedule.missed != null && (
        <p className="notice warn" role="status">
          Instants from <Ago at={schedule.missed.from} /> to <Ago at={schedule.missed.until} /> were too late to be
          caught up. A backfill starts their runs.
        </p>
      )}
      <section className="run-head" aria-label="the schedule">
        <Facts>
          <Fact name="state">{schedule.paused ? <StatusBadge status="paused" /> : "on"}</Fact>
          <Fact name="starts">
            <Link to="/workflows/$name" params={{ name: schedule.workflow }}>
              {schedule.workflow}
            </Link>
          </Fact>
          <Fact name="when">
            <span className="mono">{whenWords(schedule)}</span>
          </Fact>
          <Fact name="while one is under way">
            {OVERLAPS.find(({ name }) => name === schedule.overlap)?.means ?? schedule.overlap}
          </Fact>
          <Fact name="caught up within">{duration(schedule.catch_up_seconds * 1_000)}</Fact>
          <Fact name="subject">
            <SubjectLink subject={schedule.subject} />
          </Fact>
          {schedule.created_by != null && schedule.created_at != null && (
            <Fact name="made">
              by {schedule.created_by}, <Ago at={schedule.created_at} />
            </Fact>
          )}
        </Facts>
      </section>
      <div className="cards">
        <Card title="Next fires">
          {schedule.next.length === 0 ? (
            <p className="nothing">
              {schedule.paused ? "None while it is paused." : "None: its last instant has passed."}
            </p>
          ) : (
            <NextFires next={schedule.next} />
          )}
        </Card>
        {schedule.run != null && (
          <Card title="The run that it starts">
            <JsonView value={schedule.run} label="the run" />
          </Card>
        )}
      </div>
      <History name={schedule.name} />
    </>
  );
}

function History({ name }: { name: string }) {
  const [state, setState] = useState<string>();
  const query = useInfiniteQuery(firesQuery(name, state));
  const fires = query.data?.pages.flatMap((page) => page.fires) ?? [];
  return (
    <Card title="History" aside={<span className="aside">30 days</span>}>
      <div className="chips" role="group" aria-label="state">
        {FIRE_STATES.map((one) => (
          <button
            key={one}
            type="button"
            className="chip"
            aria-pressed={one === state}
            onClick={() => setState(one === state ? undefined : one)}
          >
            {one}
          </button>
        ))}
      </div>
      <Fault error={query.error} />
      {query.isPending && <Loading />}
      {query.isSuccess && fires.length === 0 && (
        <Empty title={state === undefined ? "It has not fired yet." : `None is ${state}.`}>
          {state === undefined && <p>“Trigger now” starts its run at once.</p>}
        </Empty>
      )}
      {fires.length > 0 && (
        <Table
          label="history"
          rows={fires}
          rowKey={({ at, origin }) => `${at} ${origin}`}
          rowClass={(fire) => (fire.state === "refused" ? "bad" : undefined)}
          columns={[
            { name: "instant", cell: ({ at }) => <Ago at={at} /> },
            { name: "by", wideOnly: true, cell: ({ origin }) => (origin === "time" ? "the clock" : origin) },
            { name: "state", cell: (fire) => <StatusBadge status={fire.state} /> },
            { name: "why", className: "grow", cell: ({ reason }) => spaced(reason ?? "") },
            { name: "run", cell: ({ run }) => (run == null ? "" : <RunLink id={run} />) },
          ]}
        />
      )}
      {query.hasNextPage && (
        <Button look="quiet" icon="down" disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
          Older
        </Button>
      )}
    </Card>
  );
}

interface AskedProps {
  schedule: View;
  onClose: () => void;
}

export function OverlapSelect({
  id,
  value,
  onChange,
}: {
  id: string;
  value: string;
  onChange: (next: string) => void;
}) {
  return (
    <div className="field">
      <label htmlFor={id}>While a run of it is under way</label>
      <select id={id} value={value} onChange={(event) => onChange(event.target.value)}>
        {OVERLAPS.map(({ name, means }) => (
          <option key={name} value={name}>
            {means}
          </option>
        ))}
      </select>
    </div>
  );
}

function Trigger({ schedule, onClose }: AskedProps) {
  const [overlap, setOverlap] = useState(schedule.overlap);
  const [key] = useState(newKey);
  const act = useAct({
    run: () => {
      const params = { path: { name: schedule.name }, header: { "Idempotency-Key": key } };
      return told(api.POST("/api/v1/schedules/{name}/trigger", { params, body: { overlap } }));
    },
    after: (fired) => {
      const { state, reason } = fired as Schemas["FireView"];
      toast(`${spaced(state)}${reason == null ? "" : `: ${spaced(reason)}`}.`, state === "refused");
      onClose();
    },
  });
  return (
    <Ask
      title={`Trigger ${schedule.name} now`}
      action="Trigger"
      busy={act.isPending}
      error={act.error}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>Starts its run at once, beside its instants.</p>
      <OverlapSelect id="trigger-overlap" value={overlap} onChange={setOverlap} />
    </Ask>
  );
}

function Backfill({ schedule, onClose }: AskedProps) {
  const { missed } = schedule;
  const [from, setFrom] = useState(missed == null ? "" : localInput(missed.from));
  const [until, setUntil] = useState(localInput(missed?.until ?? new Date().toISOString()));
  const [overlap, setOverlap] = useState("queue");
  const span = { from: instantOf(from), until: instantOf(until) };
  const act = useAct({
    run: () => {
      const body = { from: span.from ?? "", until: span.until ?? "", overlap };
      return told(api.POST("/api/v1/schedules/{name}/backfill", { params: { path: { name: schedule.name } }, body }));
    },
    after: (done) => {
      const { added, known } = done as Schemas["Backfilled"];
      toast(`${plural(added, "run")} to start, ${known} known already.`);
      onClose();
    },
  });
  return (
    <Ask
      title={`Backfill ${schedule.name}`}
      action="Backfill"
      busy={act.isPending}
      error={act.error}
      disabled={span.from === undefined || span.until === undefined}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>Starts runs for instants that passed, up to 1,000 at once: those of which nothing became yet.</p>
      <div className="fields">
        <div className="field">
          <label htmlFor="backfill-from">From, your time</label>
          <input id="backfill-from" type="datetime-local" value={from} onChange={(e) => setFrom(e.target.value)} />
        </div>
        <div className="field">
          <label htmlFor="backfill-until">Until, your time</label>
          <input id="backfill-until" type="datetime-local" value={until} onChange={(e) => setUntil(e.target.value)} />
        </div>
      </div>
      <OverlapSelect id="backfill-overlap" value={overlap} onChange={setOverlap} />
    </Ask>
  );
}

function Delete({ schedule, onClose }: AskedProps) {
  const navigate = useNavigate();
  const act = useAct({
    run: () => told(api.DELETE("/api/v1/schedules/{name}", { params: { path: { name: schedule.name } } })),
    done: "Deleted.",
    after: () => void navigate({ to: "/schedules" }),
  });
  return (
    <Ask
      title={`Delete ${schedule.name}`}
      action="Delete it"
      danger
      busy={act.isPending}
      error={act.error}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>It goes with its history. Runs that it started go on.</p>
    </Ask>
  );
}

// What happened elsewhere, and what it started; the triggers that say what starts by which.
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { type SubmitEvent, useState } from "react";
import { api, newKey, type Schemas, told } from "../api/client";
import { eventQuery, eventsQuery } from "../api/queries";
import { useMay } from "../api/session";
import { quoted } from "../lib/filters";
import { plural, shortId, spaced, typed } from "../lib/words";
import { useAct } from "../ui/act";
import {
  Ago,
  Button,
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
import { Ask, Dialog } from "../ui/dialog";
import { JsonInput } from "../ui/schema-form";
import { LongTable } from "../ui/table";
import { toast } from "../ui/toast";
import { Triggers } from "./events/triggers";

type Event = Schemas["EventView"];

const ROW_PX = 35;

export function Events() {
  const { view = "events" } = useSearch({ from: "/events" });
  const navigate = useNavigate({ from: "/events" });
  const may = useMay();
  const [pushing, setPushing] = useState(false);
  return (
    <Page
      title="Events"
      actions={
        may("trigger") && (
          <Button look="main" icon="plus" onClick={() => setPushing(true)}>
            Push an event
          </Button>
        )
      }
    >
      <div className="tabs" role="tablist" aria-label="events and triggers">
        {(["events", "triggers"] as const).map((one) => (
          <button
            key={one}
            type="button"
            role="tab"
            aria-selected={one === view}
            onClick={() => void navigate({ search: one === "events" ? {} : { view: one }, replace: true })}
          >
            {one === "events" ? "What happened" : "Triggers"}
          </button>
        ))}
      </div>
      {view === "events" ? <List /> : <Triggers />}
      <Command text={view === "events" ? "valet events" : "valet events triggers"} />
      {pushing && <Push onClose={() => setPushing(false)} />}
    </Page>
  );
}

function List() {
  const { key, event } = useSearch({ from: "/events" });
  const navigate = useNavigate({ from: "/events" });
  const query = useInfiniteQuery(eventsQuery(key));
  const events = query.data?.pages.flatMap((page) => page.events) ?? [];
  const filter = (submitted: SubmitEvent<HTMLFormElement>) => {
    submitted.preventDefault();
    const text = typed(submitted.currentTarget, "key");
    void navigate({ search: text === "" ? {} : { key: text }, replace: true });
  };
  const show = (id: string | undefined) =>
    void navigate({ search: { ...(key === undefined ? {} : { key }), ...(id === undefined ? {} : { event: id }) } });
  return (
    <>
      <div className="filters">
        <form onSubmit={filter} role="search" className="search">
          <input
            key={key}
            name="key"
            type="search"
            aria-label="only events of this key"
            placeholder="a key, such as user:created"
            defaultValue={key}
          />
        </form>
        {key !== undefined && (
          <Button look="quiet" icon="close" onClick={() => void navigate({ search: {} })}>
            Clear
          </Button>
        )}
      </div>
      <Fault error={query.error} />
      {query.isPending && <Loading />}
      {query.isSuccess && events.length === 0 && (
        <Empty title={key === undefined ? "Nothing happened yet." : "No event has this key."}>
          {key === undefined && (
            <p>
              Events come by <code>POST /api/v1/events</code> or <code>valet events push</code>. A{" "}
              <Link to="/events" search={{ view: "triggers" }}>
                trigger
              </Link>{" "}
              says what they start.
            </p>
          )}
        </Empty>
      )}
      {events.length > 0 && (
        <LongTable
          label="events"
          rows={events}
          rowKey={({ id }) => id}
          rowHeight={ROW_PX}
          rowClass={({ runs }) => (runs.some(({ state }) => state === "refused") ? "bad" : undefined)}
          columns={[
            { name: "when", cell: ({ at }) => <Ago at={at} /> },
            { name: "key", className: "mono", cell: (one) => one.key },
            { name: "scope", wideOnly: true, cell: ({ scope }) => scope ?? "" },
            { name: "subject", wideOnly: true, cell: ({ subject }) => <SubjectLink subject={subject} /> },
            { name: "started", className: "grow", cell: ({ runs }) => <Started runs={runs} /> },
            { name: "from", wideOnly: true, cell: ({ created_by }) => created_by },
            {
              name: "actions",
              hidden: true,
              align: "right",
              cell: ({ id, key: of }) => (
                <Button look="quiet" aria-label={`show ${of}, ${id}`} onClick={() => show(id)}>
                  Show
                </Button>
              ),
            },
          ]}
          foot={
            <p className="table-end">
              {query.hasNextPage ? (
                <Button
                  look="quiet"
                  icon="down"
                  disabled={query.isFetchingNextPage}
                  onClick={() => void query.fetchNextPage()}
                >
                  Older
                </Button>
              ) : (
                plural(events.length, "event")
              )}
            </p>
          }
        />
      )}
      {event !== undefined && <EventDialog key={event} id={event} onClose={() => show(undefined)} onReplayed={show} />}
    </>
  );
}

/** Runs that are shown in a row. */
const SHOWN = 2;

function Started({ runs }: { runs: Event["runs"] }) {
  if (runs.length === 0) return <span className="faint clip">nothing: no trigger fits</span>;
  return (
    <span className="row-actions">
      {runs
        .slice(0, SHOWN)
        .map(({ trigger, run, state }) =>
          run == null ? <StatusBadge key={trigger} status={state} /> : <RunLink key={trigger} id={run} />,
        )}
      {runs.length > SHOWN && <small>and {runs.length - SHOWN} more</small>}
    </span>
  );
}

interface EventDialogProps {
  id: string;
  onClose: () => void;
  onReplayed: (id: string) => void;
}

function EventDialog({ id, onClose, onReplayed }: EventDialogProps) {
  const { data, error, isPending } = useQuery(eventQuery(id));
  const may = useMay();
  const [key] = useState(newKey);
  const replay = useAct({
    run: () =>
      told(api.POST("/api/v1/events/{id}/replay", { params: { path: { id }, header: { "Idempotency-Key": key } } })),
    done: "Pushed once more.",
    after: (event) => onReplayed((event as Event).id),
  });
  return (
    <Dialog title={data?.key ?? "Event"} wide onClose={onClose}>
      <div className="stack">
        <Fault error={error ?? replay.error} />
        {isPending && <Loading />}
        {data !== undefined && (
          <>
            <Facts>
              <Fact name="id">
                <code>{data.id}</code>
              </Fact>
              <Fact name="when">
                <Ago at={data.at} />
              </Fact>
              <Fact name="from">{data.created_by}</Fact>
              <Fact name="subject">
                <SubjectLink subject={data.subject} />
              </Fact>
              {data.scope != null && <Fact name="scope">{data.scope}</Fact>}
              {data.replay_of != null && (
                <Fact name="replay of">
                  <Link to="/events" search={{ event: data.replay_of }} className="mono" title={data.replay_of}>
                    {shortId(data.replay_of)}
                  </Link>
                </Fact>
              )}
            </Facts>
            <h3>What it started</h3>
            {data.runs.length === 0 ? (
              <p className="nothing">Nothing: no trigger fitted it.</p>
            ) : (
              <ul className="rows">
                {data.runs.map(({ trigger, workflow, run, state, reason }) => (
                  <li key={trigger}>
                    <StatusBadge status={state} />
                    <span className="clip">
                      {workflow}, by the trigger {trigger}
                      {reason != null && `: ${spaced(reason)}`}
                    </span>
                    {run != null && <RunLink id={run} />}
                  </li>
                ))}
              </ul>
            )}
            <h3>What it carries</h3>
            {data.payload === undefined ? (
              <p className="nothing">For those who trigger, operate or answer.</p>
            ) : (
              <JsonView value={data.payload} label="payload" />
            )}
            <Command text={`valet events show ${data.id}`} />
            {may("trigger") && (
              <footer>
                <Button icon="retry" look="main" disabled={replay.isPending} onClick={() => replay.mutate()}>
                  Replay
                </Button>
              </footer>
            )}
          </>
        )}
      </div>
    </Dialog>
  );
}

function Push({ onClose }: { onClose: () => void }) {
  const navigate = useNavigate();
  const [of, setOf] = useState("");
  const [scope, setScope] = useState("");
  const [subject, setSubject] = useState("");
  const [payload, setPayload] = useState<unknown>({});
  const [key, setKey] = useState(newKey);
  const act = useAct({
    run: () => {
      const body: Schemas["PushEventRequest"] = {
        key: of.trim(),
        payload,
        ...(scope.trim() === "" ? {} : { scope: scope.trim() }),
        ...(subject.trim() === "" ? {} : { subject: subject.trim() }),
      };
      return told(api.POST("/api/v1/events", { params: { header: { "Idempotency-Key": key } }, body }));
    },
    after: (pushed) => {
      const { id, runs } = pushed as Event;
      toast(runs.length === 0 ? "Taken; no trigger fits it." : `Taken; it fits ${plural(runs.length, "trigger")}.`);
      onClose();
      void navigate({ to: "/events", search: { event: id } });
    },
  });
  // Another event is another push.
  const changed =
    <T,>(set: (value: T) => void) =>
    (value: T) => {
      set(value);
      setKey(newKey());
    };
  return (
    <Ask
      title="Push an event"
      action="Push"
      busy={act.isPending}
      error={act.error}
      disabled={of.trim() === ""}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <div className="field">
        <label htmlFor="push-key">Key</label>
        <input
          id="push-key"
          className="mono"
          placeholder="user:created"
          value={of}
          onChange={(event) => changed(setOf)(event.target.value)}
        />
      </div>
      <div className="fields">
        <div className="field">
          <label htmlFor="push-scope">
            Scope <span className="optional">optional</span>
          </label>
          <input id="push-scope" value={scope} onChange={(event) => changed(setScope)(event.target.value)} />
        </div>
        <div className="field">
          <label htmlFor="push-subject">
            Subject <span className="optional">optional</span>
          </label>
          <input id="push-subject" value={subject} onChange={(event) => changed(setSubject)(event.target.value)} />
        </div>
      </div>
      <div className="field">
        <label htmlFor="push-payload">Payload, as JSON</label>
        <JsonInput id="push-payload" value={payload} onChange={changed(setPayload)} rows={6} />
      </div>
      <Command text={`valet events push ${quoted(of.trim() === "" ? "KEY" : of.trim())}`} />
    </Ask>
  );
}

// The workers that live: what they pull, what they hold, and whether they take more.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { pausesQuery, workersQuery } from "../api/queries";
import { useMay } from "../api/session";
import { Ago, Command, Copy, Empty, Fault, Loading, Page } from "../ui/basics";
import { PauseButton } from "../ui/pause-button";
import { Table } from "../ui/table";

/** Steps of a worker. */
const SHOWN = 4;

export function Workers() {
  const { data, error, isPending } = useQuery(workersQuery);
  const pauses = useQuery(pausesQuery);
  const may = useMay();
  const pauseOf = (session: string) =>
    pauses.data?.pauses.find((pause) => pause.scope === "worker" && pause.name === session);
  return (
    <Page title="Workers">
      <Fault error={error} />
      {isPending && <Loading />}
      {data?.workers.length === 0 && (
        <Empty title="No worker lives: steps wait.">
          <p>
            Start one: <code>valet worker</code>
          </p>
        </Empty>
      )}
      {data !== undefined && data.workers.length > 0 && (
        <Table
          label="workers"
          rows={data.workers}
          rowKey={({ session }) => session}
          columns={[
            {
              name: "worker",
              cell: ({ name, session }) => (
                <span title={session}>
                  {name} <Copy text={session} what="its session" />
                </span>
              ),
            },
            {
              name: "state",
              cell: ({ session, draining }) =>
                draining ? (
                  <span className="badge closing">draining</span>
                ) : pauseOf(session) === undefined ? (
                  <span className="badge succeeded">takes steps</span>
                ) : (
                  <span className="badge paused">paused</span>
                ),
            },
            {
              name: "slots",
              cell: ({ slots, free_slots }) => (
                <span className="slots">
                  <progress value={slots - free_slots} max={Math.max(1, slots)} aria-label="slots in use" />{" "}
                  {slots - free_slots}/{slots}
                </span>
              ),
            },
            { name: "holds", align: "right", cell: ({ running }) => running },
            {
              name: "does",
              cell: ({ at_work = [] }) => (
                <ul className="plain">
                  {at_work.slice(0, SHOWN).map(({ run, seq, name, granted_at }) => (
                    <li key={`${run} ${seq}`}>
                      <Link to="/runs/$id" params={{ id: run }}>
                        {name}
                      </Link>{" "}
                      <Ago at={granted_at} />
                    </li>
                  ))}
                  {at_work.length > SHOWN && <li>and more</li>}
                </ul>
              ),
            },
            {
              name: "labels and queues",
              className: "grow",
              wideOnly: true,
              cell: ({ queues, labels = {} }) => (
                <span className="tags">
                  {Object.entries(labels).map(([name, value]) => (
                    <span key={name} className="tag">
                      {name}={value}
                    </span>
                  ))}
                  {queues.map((queue) => (
                    <span key={queue} className="tag mono">
                      {queue}
                    </span>
                  ))}
                </span>
              ),
            },
            { name: "seen", cell: ({ last_seen_at }) => <Ago at={last_seen_at} /> },
            {
              name: "actions",
              hidden: true,
              align: "right",
              cell: ({ session }) =>
                may("operate") && <PauseButton scope="worker" name={session} pause={pauseOf(session)} look="quiet" />,
            },
          ]}
        />
      )}
      <Command text="valet workers" />
    </Page>
  );
}

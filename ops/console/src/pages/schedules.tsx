// Runs that start by the clock.
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { schedulesQuery } from "../api/queries";
import { useMay } from "../api/session";
import { whenWords, zoned } from "../lib/schedules";
import { Ago, Button, Command, Empty, Fault, Loading, Page, RunLink, StatusBadge } from "../ui/basics";
import { Table } from "../ui/table";

export function Schedules() {
  const query = useInfiniteQuery(schedulesQuery);
  const may = useMay();
  const schedules = query.data?.pages.flatMap((page) => page.schedules) ?? [];
  return (
    <Page
      title="Schedules"
      actions={
        may("trigger") && (
          <Link to="/new-schedule" className="button main">
            New schedule
          </Link>
        )
      }
    >
      <Fault error={query.error} />
      {query.isPending && <Loading />}
      {query.isSuccess && schedules.length === 0 && (
        <Empty title="No schedule yet.">
          <p>
            A schedule starts a run at instants that were said before: every weekday at half past nine, or once.{" "}
            {may("trigger") && <Link to="/new-schedule">Make one</Link>}
          </p>
        </Empty>
      )}
      {schedules.length > 0 && (
        <Table
          label="schedules"
          rows={schedules}
          rowKey={({ name }) => name}
          rowClass={({ last, missed }) => (last?.state === "refused" || missed != null ? "bad" : undefined)}
          columns={[
            {
              name: "schedule",
              cell: ({ name }) => (
                <Link to="/schedules/$name" params={{ name }}>
                  <strong>{name}</strong>
                </Link>
              ),
            },
            { name: "workflow", wideOnly: true, cell: ({ workflow }) => workflow },
            { name: "when", wideOnly: true, className: "mono", cell: whenWords },
            {
              name: "next",
              className: "grow",
              cell: ({ paused, next: [next] }) =>
                paused ? (
                  <StatusBadge status="paused" />
                ) : next === undefined ? (
                  <span className="faint">none</span>
                ) : (
                  <span className="clip" title={zoned(next)}>
                    <Ago at={next} />
                  </span>
                ),
            },
            {
              name: "last",
              cell: ({ last }) =>
                last == null ? (
                  <span className="faint">never</span>
                ) : (
                  <span className="row-actions">
                    <StatusBadge status={last.state} />
                    {last.run == null ? <Ago at={last.at} /> : <RunLink id={last.run} />}
                  </span>
                ),
            },
            {
              name: "missed",
              wideOnly: true,
              cell: ({ missed }) => (missed == null ? "" : <span className="badge failed">missed some</span>),
            },
          ]}
        />
      )}
      {query.hasNextPage && (
        <Button look="quiet" icon="down" disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
          More
        </Button>
      )}
      <Command text="valet schedules" />
    </Page>
  );
}

// The runs that this one started.
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Schemas } from "../../api/client";
import { runsQuery } from "../../api/queries";
import { between, duration } from "../../lib/time";
import { Ago, Button, Empty, Fault, Loading, RunLink, StatusBadge } from "../../ui/basics";
import { useNow } from "../../ui/now";
import { LongTable } from "../../ui/table";

const ROW_PX = 33;

export function Children({ run }: { run: Schemas["RunDetail"] }) {
  const now = useNow();
  const query = useInfiniteQuery(runsQuery({ parent: run.id }));
  const runs = query.data?.pages.flatMap((page) => page.runs) ?? [];
  if (query.isPending) return <Loading />;
  if (query.error != null) return <Fault error={query.error} />;
  if (runs.length === 0) return <Empty title="It has started no other run." />;
  return (
    <>
      <LongTable
        label="children"
        rows={runs}
        rowKey={({ id }) => id}
        rowHeight={ROW_PX}
        columns={[
          { name: "run", cell: ({ id }) => <RunLink id={id} /> },
          { name: "workflow", wideOnly: true, cell: ({ workflow }) => workflow },
          { name: "status", cell: ({ status, paused }) => <StatusBadge status={status} paused={paused} /> },
          {
            name: "what",
            className: "grow",
            cell: ({ error_code, status_line }) => <span className="clip">{error_code ?? status_line ?? ""}</span>,
          },
          { name: "started", wideOnly: true, cell: ({ created_at }) => <Ago at={created_at} /> },
          {
            name: "took",
            align: "right",
            cell: ({ created_at, ended_at }) => duration(between(created_at, ended_at, now)),
          },
        ]}
        foot={
          query.hasNextPage && (
            <p className="table-end">
              <Button
                look="quiet"
                icon="down"
                disabled={query.isFetchingNextPage}
                onClick={() => void query.fetchNextPage()}
              >
                More
              </Button>
            </p>
          )
        }
      />
      <p className="hint">
        <Link to="/runs" search={{ parent: run.id }}>
          The same as a list with filters
        </Link>
      </p>
    </>
  );
}

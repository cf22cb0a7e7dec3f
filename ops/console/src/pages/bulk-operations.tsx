// What was, and is, done to many runs at once.
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { bulkOperationsQuery } from "../api/bulk-operations";
import { actionOf, filterWords, progressWords } from "../lib/bulk-operations";
import { Ago, Button, Command, Empty, Fault, Loading, Page, StatusBadge } from "../ui/basics";
import { BulkProgress, BulkVerbs } from "../ui/bulk-progress";
import { Table } from "../ui/table";

export function BulkOperations() {
  const query = useInfiniteQuery(bulkOperationsQuery);
  const navigate = useNavigate();
  const operations = query.data?.pages.flatMap((page) => page.operations) ?? [];
  return (
    <Page title="Bulk operations">
      <Fault error={query.error} />
      {query.isPending && <Loading />}
      {query.isSuccess && operations.length === 0 && (
        <Empty title="Nothing was done to many runs in 30 days.">
          <p>
            Filter the <Link to="/runs">runs</Link>, and choose what is done to all that fit: they are counted before
            anything is done.
          </p>
        </Empty>
      )}
      {operations.length > 0 && (
        <Table
          label="bulk operations"
          rows={operations}
          rowKey={({ id }) => id}
          rowClass={({ failed }) => (failed > 0 ? "bad" : undefined)}
          columns={[
            {
              name: "what",
              cell: ({ id, action, undo_of: undoOf }) => (
                <Link to="/bulk-operations/$id" params={{ id }} title={id}>
                  <strong>{actionOf(action).name}</strong>
                  {undoOf != null && " (undo)"}
                </Link>
              ),
            },
            {
              name: "runs",
              className: "grow",
              wideOnly: true,
              cell: ({ filter }) => (
                <span className="clip" title={filterWords(filter)}>
                  {filterWords(filter)}
                </span>
              ),
            },
            { name: "state", cell: ({ state }) => <StatusBadge status={state} /> },
            {
              name: "progress",
              className: "bulk-progress",
              cell: (operation) => (
                <>
                  <BulkProgress operation={operation} words={false} />
                  <span className="hint clip" title={progressWords(operation)}>
                    {progressWords(operation)}
                  </span>
                </>
              ),
            },
            { name: "began", wideOnly: true, cell: ({ created_at: at }) => <Ago at={at} /> },
            { name: "by", wideOnly: true, cell: ({ created_by: by }) => by },
            {
              name: "actions",
              hidden: true,
              align: "right",
              cell: (operation) => (
                <span className="row-actions">
                  <BulkVerbs
                    operation={operation}
                    look="quiet"
                    onUndo={({ id }) => void navigate({ to: "/bulk-operations/$id", params: { id } })}
                  />
                </span>
              ),
            },
          ]}
        />
      )}
      {query.hasNextPage && (
        <Button look="quiet" icon="down" disabled={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
          Older
        </Button>
      )}
      <Command text="valet bulk" />
    </Page>
  );
}

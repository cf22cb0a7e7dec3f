// Who changed what. Nobody can alter these rows.
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { type SubmitEvent, useState } from "react";
import type { Schemas } from "../api/client";
import { auditQuery } from "../api/queries";
import { quoted } from "../lib/filters";
import { plural, typed } from "../lib/words";
import { Ago, Button, Command, Empty, Fault, JsonView, Loading, Page, RunLink } from "../ui/basics";
import { Dialog } from "../ui/dialog";
import { LongTable } from "../ui/table";

type Entry = Schemas["AuditEntry"];

const ROW_PX = 35;

export function Audit() {
  const { target } = useSearch({ from: "/audit" });
  const navigate = useNavigate({ from: "/audit" });
  const query = useInfiniteQuery(auditQuery(target));
  const [shown, setShown] = useState<Entry>();
  const entries = query.data?.pages.flatMap((page) => page.entries) ?? [];
  const filter = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const text = typed(event.currentTarget, "target");
    void navigate({ search: text === "" ? {} : { target: text }, replace: true });
  };
  return (
    <Page title="Audit">
      <div className="filters">
        <form onSubmit={filter} role="search" className="search">
          <input
            key={target}
            name="target"
            type="search"
            aria-label="only what was done to this id"
            placeholder="an id: run_…, task_…, tok_…"
            defaultValue={target}
          />
        </form>
        {target !== undefined && (
          <Button look="quiet" icon="close" onClick={() => void navigate({ search: {} })}>
            Clear
          </Button>
        )}
      </div>
      <Fault error={query.error} />
      {query.isPending && <Loading />}
      {query.isSuccess && entries.length === 0 && (
        <Empty title={target === undefined ? "Nothing was changed yet." : "Nothing was done to this id."} />
      )}
      {entries.length > 0 && (
        <LongTable
          label="audit"
          rows={entries}
          rowKey={({ at, request, action, target: of }) => `${at} ${request ?? ""} ${action} ${of}`}
          rowHeight={ROW_PX}
          columns={[
            { name: "when", cell: ({ at }) => <Ago at={at} /> },
            { name: "who", cell: ({ who }) => <strong>{who}</strong> },
            { name: "via", wideOnly: true, cell: ({ via }) => via },
            { name: "did", cell: ({ action }) => <span className="tag">{action}</span> },
            { name: "to", className: "grow", cell: (entry) => <Target target={entry.target} /> },
            { name: "from", wideOnly: true, className: "mono faint", cell: ({ address }) => address ?? "" },
            {
              name: "actions",
              hidden: true,
              align: "right",
              cell: (entry) => (
                <Button
                  look="quiet"
                  aria-label={`show ${entry.action} of ${entry.target}`}
                  onClick={() => setShown(entry)}
                >
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
                plural(entries.length, "change")
              )}
            </p>
          }
        />
      )}
      <Command text={target === undefined ? "valet audit" : `valet audit --target ${quoted(target)}`} />
      {shown !== undefined && (
        <Dialog title={`${shown.action} by ${shown.who}`} wide onClose={() => setShown(undefined)}>
          <JsonView value={shown} label="the entry" />
        </Dialog>
      )}
    </Page>
  );
}

function Target({ target }: { target: string }) {
  if (target.startsWith("run_")) return <RunLink id={target} whole />;
  if (target.startsWith("task_")) {
    return (
      <Link to="/inbox/$id" params={{ id: target }} className="mono">
        {target}
      </Link>
    );
  }
  const [kind, name, key] = target.split("/");
  if (kind === "limit" && name !== undefined && name !== "") {
    return (
      <Link to="/limits/$name" params={{ name }} search={key === undefined ? {} : { key }} className="mono">
        {target}
      </Link>
    );
  }
  return <span className="mono">{target}</span>;
}

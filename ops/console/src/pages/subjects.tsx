// What an end user keeps with Valet, and how all of it is forgotten.
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { type SubmitEvent, useState } from "react";
import { api, ApiError, fileUrl, type Schemas, told } from "../api/client";
import { itemsQuery, subjectFilesQuery, subjectQuery, usesQuery } from "../api/queries";
import { useMay } from "../api/session";
import { quoted } from "../lib/filters";
import { faultsOfProblem } from "../lib/schema";
import { bytes, plural, typed } from "../lib/words";
import { useAct } from "../ui/act";
import { Ago, Button, Card, Command, Empty, Fact, Facts, Fault, JsonView, Loading, Page, RunLink } from "../ui/basics";
import { Ask, Dialog } from "../ui/dialog";
import { SchemaForm } from "../ui/schema-form";
import { Table } from "../ui/table";

export function Subjects() {
  const { subject } = useSearch({ from: "/subjects" });
  const navigate = useNavigate({ from: "/subjects" });
  const find = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const text = typed(event.currentTarget, "subject");
    void navigate({ search: text === "" ? {} : { subject: text } });
  };
  return (
    <Page title={subject === undefined ? "Subjects" : `Subject ${subject}`}>
      <div className="filters">
        <form onSubmit={find} role="search" className="search">
          <input
            key={subject}
            name="subject"
            type="search"
            aria-label="subject"
            placeholder="whose? the subject’s id"
            defaultValue={subject}
          />
        </form>
      </div>
      {subject === undefined ? (
        <Empty title="Whose?">
          <p>A subject is the end user on whose behalf runs work. Type its id, or follow it from a run.</p>
        </Empty>
      ) : (
        <Subject key={subject} subject={subject} />
      )}
    </Page>
  );
}

function Subject({ subject }: { subject: string }) {
  const { data, error, isPending } = useQuery(subjectQuery(subject));
  const may = useMay();
  const [erasing, setErasing] = useState(false);
  if (isPending) return <Loading />;
  if (error instanceof ApiError && error.problem.status === 404)
    return <Empty title="Nothing is kept of this subject." />;
  if (data === undefined) return <Fault error={error} />;
  return (
    <div className="stack">
      <Facts>
        <Fact name="live runs">
          <Link to="/runs" search={{ subject }}>
            {data.live_runs}
          </Link>
        </Fact>
        <Fact name="items">{data.items}</Fact>
        <Fact name="files">{data.files}</Fact>
        {data.known_since != null && (
          <Fact name="known since">
            <Ago at={data.known_since} />
          </Fact>
        )}
        {data.erasing_since != null && (
          <Fact name="being erased since">
            <Ago at={data.erasing_since} />
          </Fact>
        )}
        {data.erased_at != null && (
          <Fact name="erased">
            <Ago at={data.erased_at} />
          </Fact>
        )}
      </Facts>
      <Items subject={subject} />
      <Files subject={subject} />
      <Uses subject={subject} />
      {may("admin") && data.erasing_since == null && (
        <div className="actions">
          <Button look="danger" onClick={() => setErasing(true)}>
            Erase the subject
          </Button>
        </div>
      )}
      <Command text={`valet subjects export ${quoted(subject)} --to DIRECTORY`} />
      {erasing && <Erase subject={subject} onClose={() => setErasing(false)} />}
    </div>
  );
}

function Items({ subject }: { subject: string }) {
  const query = useInfiniteQuery(itemsQuery(subject));
  const may = useMay();
  const [putting, setPutting] = useState(false);
  const [shown, setShown] = useState<Schemas["ItemView"]>();
  const [going, setGoing] = useState<Schemas["ItemView"]>();
  const [removing, setRemoving] = useState<Schemas["ItemView"]>();
  const items = query.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Card
      title="What it keeps"
      aside={
        may("trigger", "operate") && (
          <Button look="quiet" icon="plus" onClick={() => setPutting(true)}>
            Keep something
          </Button>
        )
      }
    >
      <Fault error={query.error} />
      {query.isSuccess && items.length === 0 && <p className="nothing">No answers, secrets or documents.</p>}
      {items.length > 0 && (
        <Table
          label="items"
          rows={items}
          rowKey={({ kind, name }) => `${kind} ${name}`}
          columns={[
            { name: "kind", cell: ({ kind }) => <span className="tag">{kind}</span> },
            { name: "name", className: "grow", cell: ({ name }) => name },
            { name: "version", align: "right", cell: ({ version }) => version },
            { name: "by", wideOnly: true, cell: ({ created_by }) => created_by },
            { name: "kept", cell: ({ created_at }) => <Ago at={created_at} /> },
            {
              name: "actions",
              hidden: true,
              align: "right",
              cell: (item) => (
                <span className="row-actions">
                  {may("operate", "answer") && isTold(item) && (
                    <Button look="quiet" aria-label={`show ${item.name}`} onClick={() => setShown(item)}>
                      Show
                    </Button>
                  )}
                  {may("operate") && item.version > 1 && (
                    <Button look="quiet" aria-label={`earlier versions of ${item.name}`} onClick={() => setGoing(item)}>
                      Earlier
                    </Button>
                  )}
                  {may("operate") && (
                    <Button look="quiet" aria-label={`remove ${item.name}`} onClick={() => setRemoving(item)}>
                      Remove
                    </Button>
                  )}
                </span>
              ),
            },
          ]}
        />
      )}
      {query.hasNextPage && (
        <Button look="quiet" icon="down" onClick={() => void query.fetchNextPage()}>
          More
        </Button>
      )}
      {putting && <Put subject={subject} onClose={() => setPutting(false)} />}
      {shown !== undefined && <ShowItem subject={subject} item={shown} onClose={() => setShown(undefined)} />}
      {going !== undefined && <GoBack subject={subject} item={going} onClose={() => setGoing(undefined)} />}
      {removing !== undefined && <Remove subject={subject} item={removing} onClose={() => setRemoving(undefined)} />}
    </Card>
  );
}

/** Secrets and the states of browsers are given to workers, and shown to nobody. */
function isTold({ kind }: Schemas["ItemView"]): boolean {
  return kind !== "secret" && kind !== "browser_state";
}

function ShowItem({ subject, item, onClose }: { subject: string; item: Schemas["ItemView"]; onClose: () => void }) {
  return (
    <Dialog title={item.name} wide onClose={onClose}>
      <ItemValue subject={subject} item={item} version={item.version} />
    </Dialog>
  );
}

function ItemValue({ subject, item, version }: { subject: string; item: Schemas["ItemView"]; version: number }) {
  const query = { kind: item.kind, name: item.name, version };
  const { data, error, isPending } = useQuery({
    queryKey: ["subjects", subject, "item", query],
    queryFn: () => told(api.GET("/api/v1/subjects/{subject}/item", { params: { path: { subject }, query } })),
  });
  return (
    <>
      <Fault error={error} />
      {isPending && <Loading />}
      {data !== undefined && <JsonView value={data.value} label={`${item.name}, version ${version}`} />}
    </>
  );
}

/** Versions that are offered: further ones are named on the command line. */
const VERSIONS_SHOWN = 50;

/** What was in an earlier version becomes the newest. */
function GoBack({ subject, item, onClose }: { subject: string; item: Schemas["ItemView"]; onClose: () => void }) {
  const [version, setVersion] = useState(item.version - 1);
  const query = { kind: item.kind, name: item.name, version };
  const act = useAct({
    run: () => told(api.POST("/api/v1/subjects/{subject}/item/restore", { params: { path: { subject }, query } })),
    done: `What was in version ${version} is the newest again.`,
    after: onClose,
  });
  const versions = Array.from({ length: Math.min(item.version - 1, VERSIONS_SHOWN) }, (_, at) => item.version - 1 - at);
  const words = [subject, item.kind, item.name].map(quoted).join(" ");
  return (
    <Ask
      title={`Go back to an earlier version of ${item.name}`}
      action={`Go back to version ${version}`}
      wide
      busy={act.isPending}
      error={act.error}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <div className="field">
        <label htmlFor="item-version">Version; the newest is {item.version}</label>
        <select
          id="item-version"
          value={version}
          onChange={(event) => {
            setVersion(Number(event.target.value));
            act.reset();
          }}
        >
          {versions.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      </div>
      {isTold(item) ? (
        <ItemValue subject={subject} item={item} version={version} />
      ) : (
        <p className="hint">What is in it is shown to nobody. Of the state of a browser the last five are kept.</p>
      )}
      <Command text={`valet subjects restore ${words} --version ${version}`} />
    </Ask>
  );
}

function Remove({ subject, item, onClose }: { subject: string; item: Schemas["ItemView"]; onClose: () => void }) {
  const query = { kind: item.kind, name: item.name };
  const act = useAct({
    run: () => told(api.DELETE("/api/v1/subjects/{subject}/item", { params: { path: { subject }, query } })),
    done: "Removed.",
    after: onClose,
  });
  return (
    <Ask
      title={`Remove ${item.name}`}
      action="Remove"
      danger
      busy={act.isPending}
      error={act.error}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>All its versions go.</p>
    </Ask>
  );
}

const KINDS = ["answer", "secret", "document"];
const DOCUMENT = {
  type: "object",
  required: ["file"],
  properties: { file: { type: "string", pattern: "^file_[0-9a-f]{32}$", title: "File" } },
};

function Put({ subject, onClose }: { subject: string; onClose: () => void }) {
  const [kind, setKind] = useState("answer");
  const [name, setName] = useState("");
  const [value, setValue] = useState<unknown>("");
  const act = useAct({
    run: () =>
      told(
        api.PUT("/api/v1/subjects/{subject}/items", {
          params: { path: { subject } },
          body: { kind, name, value: value as never },
        }),
      ),
    done: "Kept, as a new version.",
    after: onClose,
  });
  const found = act.error instanceof ApiError ? faultsOfProblem(act.error.problem, "/value") : {};
  return (
    <Ask
      title="Keep something"
      action="Keep it"
      busy={act.isPending}
      error={found["/file"] === undefined ? act.error : undefined}
      disabled={name === ""}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <div className="field">
        <label htmlFor="item-kind">Kind</label>
        <select
          id="item-kind"
          value={kind}
          onChange={(event) => {
            setKind(event.target.value);
            setValue(event.target.value === "document" ? {} : "");
            act.reset();
          }}
        >
          {KINDS.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      </div>
      <div className="field">
        <label htmlFor="item-name">
          {kind === "answer" ? "Question" : kind === "secret" ? "Site and field: jobs.example.com/password" : "Name"}
        </label>
        <input id="item-name" value={name} onChange={(event) => setName(event.target.value)} />
      </div>
      {kind === "document" ? (
        <SchemaForm
          schema={DOCUMENT}
          value={value}
          onChange={(next) => {
            setValue(next);
            act.reset();
          }}
          faults={found}
          subject={subject}
        />
      ) : (
        <div className="field">
          <label htmlFor="item-value">{kind === "secret" ? "Secret: nobody but its worker reads it" : "Answer"}</label>
          <input
            id="item-value"
            type={kind === "secret" ? "password" : "text"}
            autoComplete="off"
            value={typeof value === "string" ? value : ""}
            onChange={(event) => setValue(event.target.value)}
          />
        </div>
      )}
    </Ask>
  );
}

function Files({ subject }: { subject: string }) {
  const { data, error } = useQuery(subjectFilesQuery(subject));
  const may = useMay();
  const mayOpen = may("trigger", "operate", "answer");
  return (
    <Card title="Files">
      <Fault error={error} />
      {data?.artifacts.length === 0 && <p className="nothing">No files.</p>}
      <ul className="rows">
        {data?.artifacts.map((file) => (
          <li key={file.id}>
            {mayOpen ? <a href={fileUrl(file.id)}>{file.filename}</a> : <span>{file.filename}</span>}
            <span className="mono faint clip">{file.id}</span>
            <span>{file.content_type}</span>
            <span className="number">{bytes(file.size_bytes)}</span>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function Uses({ subject }: { subject: string }) {
  const { data, error } = useQuery(usesQuery(subject));
  return (
    <Card
      title="Who was given what"
      aside={data !== undefined && <span className="aside">{plural(data.uses.length, "use")}</span>}
    >
      <Fault error={error} />
      {data?.uses.length === 0 && <p className="nothing">No run was given anything of it.</p>}
      <ul className="rows">
        {data?.uses.map((use) => (
          <li key={`${use.run} ${use.kind} ${use.name} ${use.version}`}>
            <RunLink id={use.run} />
            <span className="clip">
              {use.kind} {use.name}, version {use.version}
            </span>
            <Ago at={use.used_at} />
          </li>
        ))}
      </ul>
    </Card>
  );
}

function Erase({ subject, onClose }: { subject: string; onClose: () => void }) {
  const [typed, setTyped] = useState("");
  const act = useAct({
    run: () => told(api.POST("/api/v1/subjects/{subject}/erase", { params: { path: { subject } } })),
    done: "It is being erased.",
    after: onClose,
  });
  return (
    <Ask
      title={`Erase ${subject}`}
      action="Erase for ever"
      danger
      busy={act.isPending}
      error={act.error}
      disabled={typed !== subject}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>Its live runs are cancelled and its key is destroyed: nothing of it can be read again, by nobody.</p>
      <div className="field">
        <label htmlFor="erase">Type the subject’s id to confirm</label>
        <input id="erase" value={typed} onChange={(event) => setTyped(event.target.value)} autoComplete="off" />
      </div>
    </Ask>
  );
}

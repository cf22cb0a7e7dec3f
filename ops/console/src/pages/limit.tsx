// A limit, key by key: what is at work, what waits and since when, and when the next may begin.
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { type SubmitEvent, useState } from "react";
import { ApiError, type Schemas } from "../api/client";
import { limitKeysQuery, limitQuery } from "../api/queries";
import { useMay } from "../api/session";
import { quoted } from "../lib/filters";
import { KEYS_MAX, rateWords, runWords, type Standing, standingOf } from "../lib/limits";
import { typed } from "../lib/words";
import { useAct } from "../ui/act";
import { Ago, Button, Card, Command, Empty, Fact, Facts, Fault, Loading, Page } from "../ui/basics";
import { useNow } from "../ui/now";
import { AnyTable } from "../ui/table";
import { cool, CoolDown, LimitDialog, RemoveLimit } from "./limits/dialogs";
import { Of } from "./limits/of";

type LimitView = Schemas["LimitView"];
type Key = Schemas["LimitKeyView"];

const ROW_PX = 35;

export function Limit() {
  const { name } = useParams({ from: "/limits/$name" });
  const { data, error, isPending } = useQuery(limitQuery(name));
  const may = useMay();
  const navigate = useNavigate();
  const [dialog, setDialog] = useState<"edit" | "remove">();
  if (error instanceof ApiError && error.problem.status === 404) {
    return (
      <Page title={`Limit ${name}`}>
        <Empty title="There is no such limit.">
          <Link to="/queues">To the queues and limits</Link>
        </Empty>
      </Page>
    );
  }
  return (
    <Page
      title={`Limit ${name}`}
      actions={
        data !== undefined &&
        may("admin") && (
          <>
            <Button icon="edit" onClick={() => setDialog("edit")}>
              Edit
            </Button>
            <Button look="danger" icon="close" onClick={() => setDialog("remove")}>
              Delete
            </Button>
          </>
        )
      }
    >
      <Fault error={error} />
      {isPending && <Loading />}
      {data !== undefined && (
        <>
          <About limit={data} />
          <Keys limit={data} />
        </>
      )}
      {dialog === "edit" && data !== undefined && <LimitDialog was={data} onClose={() => setDialog(undefined)} />}
      {dialog === "remove" && (
        <RemoveLimit
          name={name}
          onClose={() => setDialog(undefined)}
          onDone={() => void navigate({ to: "/queues", replace: true })}
        />
      )}
    </Page>
  );
}

function About({ limit }: { limit: LimitView }) {
  const weights = Object.entries(limit.weights ?? {});
  return (
    <Facts>
      <Fact name="of">
        <Of limit={limit} />
      </Fact>
      <Fact name="for each">{limit.key == null ? "all together" : <code>{limit.key}</code>}</Fact>
      {limit.most != null && <Fact name="at once">{limit.most.toLocaleString()}</Fact>}
      {runWords(limit).length > 0 && <Fact name="runs">{runWords(limit).join("; ")}</Fact>}
      {limit.rate != null && <Fact name="rate">{rateWords(limit.rate)}</Fact>}
      <Fact name="turns">
        {limit.share == null ? "who came first" : <code>{limit.share}</code>}
        {weights.map(([share, turns]) => (
          <span key={share} className="tag">
            {share} × {turns}
          </span>
        ))}
      </Fact>
      <Fact name={`version ${limit.version}`}>
        {limit.changed_by}, <Ago at={limit.changed_at} />
      </Fact>
    </Facts>
  );
}

function Keys({ limit }: { limit: LimitView }) {
  const { key } = useSearch({ from: "/limits/$name" });
  const navigate = useNavigate({ from: "/limits/$name" });
  const { data, error, isPending } = useQuery(limitKeysQuery(limit.name, key));
  const may = useMay();
  const [cooling, setCooling] = useState<{ key?: string }>();
  const isAbsent = error instanceof ApiError && error.problem.code === "limit_key_not_found";
  const keys = isAbsent ? [] : (data?.keys ?? []);
  const find = (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const text = typed(event.currentTarget, "key");
    void navigate({ search: text === "" ? {} : { key: text }, replace: true });
  };
  return (
    <Card
      title="Keys"
      aside={
        may("operate") && (
          <Button look="quiet" icon="pause" onClick={() => setCooling(key === undefined ? {} : { key })}>
            Leave a key alone
          </Button>
        )
      }
    >
      <div className="stack">
        {limit.key != null && (
          <form onSubmit={find} role="search" className="filters">
            <div className="search">
              <input
                key={key}
                name="key"
                type="search"
                className="mono"
                aria-label="only this key"
                placeholder="a key, such as jobs.example.com"
                defaultValue={key}
              />
            </div>
            {key !== undefined && (
              <Button look="quiet" icon="close" onClick={() => void navigate({ search: {}, replace: true })}>
                All keys
              </Button>
            )}
          </form>
        )}
        {!isAbsent && <Fault error={error} />}
        {isPending && <Loading />}
        {(isAbsent || data !== undefined) && keys.length === 0 && (
          <Empty
            title={
              key === undefined
                ? "Nothing is at work under this limit, and nothing waits."
                : "Nothing is at work under this key, and nothing waits."
            }
          >
            <p>A key shows here once a run needs a slot of it, or while it is left alone.</p>
          </Empty>
        )}
        {keys.length > 0 && <KeyTable limit={limit.name} keys={keys} onCool={(one) => setCooling({ key: one })} />}
        {keys.length >= KEYS_MAX && <p className="hint">Those for whom most wait; find others by the key.</p>}
        <Command text={`valet limits keys ${quoted(limit.name)}${key === undefined ? "" : ` --key ${quoted(key)}`}`} />
      </div>
      {cooling !== undefined && (
        <CoolDown
          limit={limit.name}
          {...(cooling.key === undefined ? {} : { was: cooling.key })}
          onClose={() => setCooling(undefined)}
        />
      )}
    </Card>
  );
}

const STANDINGS: Record<Standing, { badge: string; words: string }> = {
  cooled: { badge: "paused", words: "left alone" },
  full: { badge: "waiting", words: "full" },
  rate: { badge: "waiting", words: "waits for its rate" },
  free: { badge: "succeeded", words: "has room" },
};

function KeyTable({ limit, keys, onCool }: { limit: string; keys: readonly Key[]; onCool: (key: string) => void }) {
  const may = useMay();
  const now = useNow();
  const lift = useAct<string>({
    run: (key) => cool(limit, key, undefined),
    done: "It may begin again.",
    tellFailure: true,
  });
  const instant = (at: string | null | undefined) => (at == null ? "" : <Ago at={at} />);
  return (
    <AnyTable
      label="keys"
      rows={keys}
      rowKey={({ key }) => key}
      rowHeight={ROW_PX}
      columns={[
        {
          name: "key",
          className: "grow",
          cell: ({ key }) =>
            key === "" ? (
              <span className="clip faint">without a key</span>
            ) : (
              <span className="clip mono" title={key}>
                {key}
              </span>
            ),
        },
        {
          name: "state",
          cell: (key) => {
            const standing = standingOf(key, now);
            const { badge, words } = STANDINGS[standing];
            return (
              <span>
                <span className={`badge ${badge}`}>{words}</span>
                {standing === "cooled" && key.cooled_until != null && (
                  <small>
                    {" "}
                    ends <Ago at={key.cooled_until} />
                  </small>
                )}
              </span>
            );
          },
        },
        {
          name: "running",
          align: "right",
          cell: ({ running, most }) =>
            most == null ? running.toLocaleString() : `${running.toLocaleString()} of ${most.toLocaleString()}`,
        },
        { name: "waiting", align: "right", cell: ({ waiting }) => waiting.toLocaleString() },
        { name: "oldest", wideOnly: true, cell: ({ oldest }) => instant(oldest) },
        { name: "next refill", wideOnly: true, cell: ({ next_token_at }) => instant(next_token_at) },
        {
          name: "actions",
          hidden: true,
          align: "right",
          cell: (row) =>
            may("operate") && (
              <span className="row-actions">
                {standingOf(row, now) === "cooled" ? (
                  <Button
                    look="quiet"
                    icon="play"
                    aria-label={`lift ${nameOf(row)}`}
                    disabled={lift.isPending}
                    onClick={() => lift.mutate(row.key)}
                  >
                    Lift
                  </Button>
                ) : (
                  <Button
                    look="quiet"
                    icon="pause"
                    aria-label={`cool down ${nameOf(row)}`}
                    onClick={() => onCool(row.key)}
                  >
                    Cool down
                  </Button>
                )}
              </span>
            ),
        },
      ]}
    />
  );
}

function nameOf({ key }: Key): string {
  return key === "" ? "what has no key" : key;
}

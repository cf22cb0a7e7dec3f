// Which browsers runs get: how the tiers do at the sites, and the rules by which they are chosen, changed live.
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, ApiError, type Schemas, told } from "../api/client";
import { rulesQuery, tierMetricsQuery } from "../api/queries";
import { useMay } from "../api/session";
import { quoted } from "../lib/filters";
import { object, text } from "../lib/json";
import { cleaned, type Faults, faults as faultsIn, faultsOf } from "../lib/schema";
import {
  ALL_TIERS,
  asRule,
  heat,
  percent,
  RULE_SCHEMAS,
  type RuleKind,
  ruleWords,
  type SiteRow,
  sitesOf,
  thresholdsOf,
  type TierRow,
  tiersOf,
} from "../lib/tiers";
import { plural } from "../lib/words";
import { useAct } from "../ui/act";
import { Ago, Button, Card, Command, Empty, Fault, Loading, Page } from "../ui/basics";
import { Ask } from "../ui/dialog";
import { useNow } from "../ui/now";
import { SchemaForm } from "../ui/schema-form";
import { type Column, Table } from "../ui/table";

type Rule = Schemas["RuleView"];
type Tally = Schemas["TierTally"];

/** A rule that is made, or changed. */
interface Edited {
  kind: RuleKind;
  rule?: Rule;
  name?: string;
}

export function Tiers() {
  const rules = useQuery(rulesQuery);
  const metrics = useQuery(tierMetricsQuery);
  const [edited, setEdited] = useState<Edited>();
  const all = rules.data?.rules ?? [];
  const ready = rules.data !== undefined && metrics.data !== undefined;
  return (
    <Page title="Tiers">
      <Fault error={rules.error ?? metrics.error} />
      {(rules.isPending || metrics.isPending) && <Loading />}
      {ready && <Switches metrics={metrics.data} rules={all} onEdit={setEdited} />}
      {metrics.data !== undefined && <HeatMap metrics={metrics.data} rules={all} />}
      {ready && <Policies metrics={metrics.data} rules={all} onEdit={setEdited} />}
      {ready && <Overrides rules={all} onEdit={setEdited} />}
      <Command text="valet tiers" />
      {edited !== undefined && (
        <RuleDialog
          key={`${edited.kind} ${edited.rule?.name ?? ""}`}
          edited={edited}
          onClose={() => setEdited(undefined)}
        />
      )}
    </Page>
  );
}

interface PartProps {
  metrics?: Schemas["TierMetrics"] | undefined;
  rules: readonly Rule[];
  onEdit: (edited: Edited) => void;
}

function NewRule({ kind, children, onEdit }: { kind: RuleKind; children: string; onEdit: PartProps["onEdit"] }) {
  const may = useMay();
  if (!may("admin")) return null;
  return (
    <Button look="quiet" icon="plus" onClick={() => onEdit({ kind })}>
      {children}
    </Button>
  );
}

/** The switches: a tier that is off is given to no new browser; those that run go on. */
function Switches({ metrics, rules, onEdit }: PartProps) {
  const may = useMay();
  const rows = tiersOf(metrics, rules);
  const all: TierRow = {
    name: ALL_TIERS,
    rule: rules.find(({ kind, name }) => kind === "tier" && name === ALL_TIERS),
    isOff: false,
    everywhere: undefined,
  };
  all.isOff = object(all.rule?.value).enabled === false;
  const columns: Column<TierRow>[] = [
    { name: "tier", cell: ({ name }) => (name === ALL_TIERS ? "all others" : <strong>{name}</strong>) },
    {
      name: "state",
      cell: (row) =>
        row.isOff ? <span className="badge failed">off</span> : <span className="badge succeeded">may be chosen</span>,
    },
    {
      name: "vanished",
      align: "right",
      wideOnly: true,
      cell: ({ name, everywhere }) => <Share tally={everywhere} rules={rules} tier={name} everywhere />,
    },
    {
      name: "failures, at most",
      align: "right",
      wideOnly: true,
      cell: ({ name }) => percent(thresholdsOf(rules, name).failure_share_max),
    },
    {
      name: "its rule",
      className: "grow",
      wideOnly: true,
      cell: ({ rule }) => <RuleText rule={rule} />,
    },
    {
      name: "actions",
      hidden: true,
      align: "right",
      cell: (row) =>
        may("admin") && (
          <span className="row-actions">
            <Button
              look="quiet"
              icon="edit"
              aria-label={`edit the rule of ${row.name}`}
              onClick={() => onEdit({ kind: "tier", name: row.name, ...(row.rule ? { rule: row.rule } : {}) })}
            >
              Edit
            </Button>
            <Switch row={row} />
          </span>
        ),
    },
  ];
  return (
    <Card
      title="Switches"
      aside={
        <NewRule kind="tier" onEdit={onEdit}>
          Rule for a tier
        </NewRule>
      }
    >
      <Table label="tiers" rows={[...rows, all]} rowKey={({ name }) => name} columns={columns} />
      <p className="hint">What is changed here holds from the next browser that is chosen; those at work go on.</p>
    </Card>
  );
}

/** The rule as it is, with its switch set. */
function Switch({ row }: { row: TierRow }) {
  const [asked, setAsked] = useState(false);
  const [note, setNote] = useState("");
  const act = useAct({
    run: () => {
      const value = asRule({ ...object(row.rule?.value), ...(note === "" ? {} : { note }), enabled: row.isOff });
      return putRule("tier", row.name, value, row.rule);
    },
    done: row.isOff ? "On: browsers may be of it again." : "Off: no new browser is of it.",
    tellFailure: row.isOff,
    after: () => setAsked(false),
  });
  const whose = row.name === ALL_TIERS ? "all tiers that have no switch of their own" : row.name;
  if (row.isOff) {
    return (
      <Button
        look="quiet"
        icon="play"
        aria-label={`turn on ${row.name}`}
        onClick={() => act.mutate()}
        disabled={act.isPending}
      >
        On
      </Button>
    );
  }
  return (
    <>
      <Button look="quiet" icon="stop" aria-label={`turn off ${row.name}`} onClick={() => setAsked(true)}>
        Off
      </Button>
      {asked && (
        <Ask
          title={`Turn off ${whose}`}
          action="Turn it off"
          danger
          busy={act.isPending}
          error={act.error}
          onClose={() => setAsked(false)}
          onSubmit={act.mutate}
        >
          <p>No new browser is of it until it is on again. Runs that may have no other tier fail.</p>
          <div className="field">
            <label htmlFor="switch-note">Note, for those who find it off</label>
            <input id="switch-note" value={note} onChange={(event) => setNote(event.target.value)} />
          </div>
        </Ask>
      )}
    </>
  );
}

function RuleText({ rule }: { rule: Rule | undefined }) {
  if (rule === undefined) return <span className="faint">none</span>;
  const note = text(object(rule.value).note);
  const words = `${ruleWords(rule)}${note === "" ? "" : ` — ${note}`}`;
  return (
    <span className="clip" title={`${words} (version ${rule.version}, ${rule.changed_by})`}>
      {words === "" ? "says nothing" : words}
    </span>
  );
}

const HEAT_WORDS = {
  none: "nothing seen",
  few: "too few to be believed",
  cool: "fine",
  warm: "near what is allowed",
  hot: "too many: the next tier goes first",
};

interface ShareProps {
  tally: Tally | undefined;
  rules: readonly Rule[];
  tier: string;
  /** Everywhere only browsers that went away are counted against a tier. */
  everywhere?: boolean;
}

function Share({ tally, rules, tier, everywhere = false }: ShareProps) {
  const { failure_share_max, lost_share_max, samples_min } = thresholdsOf(rules, tier);
  const most = everywhere ? lost_share_max : failure_share_max;
  const how = heat(tally, most, samples_min);
  if (tally?.failure_share == null) return <span className="heat none">–</span>;
  const seen = tally.good + tally.bad;
  const title = `${tally.bad.toFixed(1)} of ${seen.toFixed(1)}, at most ${percent(most)}: ${HEAT_WORDS[how]}`;
  return (
    <span className={`heat ${how}`} title={title}>
      {percent(tally.failure_share)} <small>of {seen < 10 ? seen.toFixed(1) : Math.round(seen)}</small>
      {how === "hot" && <span className="read-only"> too many</span>}
    </span>
  );
}

/** Rows that are drawn unless all are asked for. */
const SITES_MAX = 100;

/** Tiers by sites: the part that failed of late, against what is allowed. */
function HeatMap({ metrics, rules }: { metrics: Schemas["TierMetrics"]; rules: readonly Rule[] }) {
  const [find, setFind] = useState("");
  const [all, setAll] = useState(false);
  const tiers = [...new Set(metrics.tallies.map(({ tier }) => tier))].sort();
  const found = sitesOf(metrics).filter(({ site }) => site.includes(find.trim().toLowerCase()));
  const rows = all ? found : found.slice(0, SITES_MAX);
  const columns: Column<SiteRow>[] = [
    { name: "site", className: "mono", cell: ({ site }) => site },
    ...tiers.map((tier): Column<SiteRow> => ({
      name: tier,
      className: "heat-cell",
      cell: ({ cells }) => <Share tally={cells.get(tier)} rules={rules} tier={tier} />,
    })),
    { name: "left alone", cell: ({ standing }) => <Cooling standing={standing} /> },
    {
      name: "last visit",
      wideOnly: true,
      cell: ({ standing }) => (standing?.last_visit_at == null ? "" : <Ago at={standing.last_visit_at} />),
    },
    { name: "that day", align: "right", wideOnly: true, cell: ({ standing }) => standing?.visits ?? "" },
  ];
  return (
    <Card
      title="What failed, tier by site"
      aside={
        <input
          type="search"
          className="short"
          aria-label="only sites with"
          placeholder="site"
          value={find}
          onChange={(event) => setFind(event.target.value)}
        />
      }
    >
      {rows.length === 0 ? (
        <Empty title={find === "" ? "No browser has been at a site yet." : "No such site."}>
          {find === "" && <p>Each browser that a run had counts here once it is known how it came off.</p>}
        </Empty>
      ) : (
        <Table label="failures by tier and site" rows={rows} rowKey={({ site }) => site} columns={columns} />
      )}
      {rows.length < found.length && (
        <Button look="quiet" icon="down" onClick={() => setAll(true)}>
          {`Show all ${plural(found.length, "site")}`}
        </Button>
      )}
      <ul className="legend">
        {(["cool", "warm", "hot", "few"] as const).map((how) => (
          <li key={how}>
            <span className={`heat ${how}`} aria-hidden="true">
              %
            </span>{" "}
            {HEAT_WORDS[how]}
          </li>
        ))}
      </ul>
      <p className="hint">Failures of late: what was seen weighs half after a week.</p>
    </Card>
  );
}

function Cooling({ standing }: { standing: SiteRow["standing"] }) {
  const now = useNow();
  if (standing?.cool_until == null || Date.parse(standing.cool_until) <= now) return <span className="faint">no</span>;
  return (
    <span title={standing.cool_why ?? undefined}>
      ends <Ago at={standing.cool_until} />
      {standing.cool_why != null && <small> {standing.cool_why}</small>}
    </span>
  );
}

function Policies({ metrics, rules, onEdit }: PartProps) {
  const sites = rules.filter(({ kind }) => kind === "site");
  const effects = metrics?.policies ?? [];
  return (
    <Card
      title="Policies of sites"
      aside={
        <NewRule kind="site" onEdit={onEdit}>
          Policy
        </NewRule>
      }
    >
      {sites.length === 0 ? (
        <p className="nothing">No policy: every site may be visited at any time, at any pace, by every tier.</p>
      ) : (
        <RuleTable label="policies of sites" nameOf="sites" rules={sites} onEdit={onEdit} />
      )}
      {effects.length > 0 && (
        <>
          <h3>How browsers came off under them, in seven days</h3>
          <Table
            label="effects of policies"
            rows={effects}
            rowKey={({ policy, tier }) => `${policy ?? ""} ${tier}`}
            columns={[
              { name: "policy", className: "grow mono", cell: ({ policy }) => policy ?? "none" },
              { name: "tier", cell: ({ tier }) => tier },
              { name: "good", align: "right", cell: ({ good }) => good.toLocaleString() },
              { name: "detected", align: "right", cell: ({ detected }) => detected.toLocaleString() },
              { name: "failed", align: "right", cell: ({ failed }) => failed.toLocaleString() },
              { name: "vanished", align: "right", cell: ({ lost }) => lost.toLocaleString() },
            ]}
          />
        </>
      )}
    </Card>
  );
}

function Overrides({ rules, onEdit }: PartProps) {
  const overrides = rules.filter(({ kind }) => kind === "override");
  return (
    <Card
      title="Overrides"
      aside={
        <NewRule kind="override" onEdit={onEdit}>
          Override
        </NewRule>
      }
    >
      {overrides.length === 0 ? (
        <p className="nothing">None: the cheapest tier that fits goes first.</p>
      ) : (
        <RuleTable label="overrides" nameOf="override" rules={overrides} onEdit={onEdit} />
      )}
    </Card>
  );
}

interface RuleTableProps {
  label: string;
  nameOf: string;
  rules: readonly Rule[];
  onEdit: PartProps["onEdit"];
}

function RuleTable({ label, nameOf, rules, onEdit }: RuleTableProps) {
  const may = useMay();
  return (
    <Table
      label={label}
      rows={rules}
      rowKey={({ name }) => name}
      columns={[
        { name: nameOf, className: "mono", cell: ({ name }) => name },
        { name: "says", className: "grow", cell: (rule) => <RuleText rule={rule} /> },
        { name: "by", wideOnly: true, cell: ({ changed_by }) => changed_by },
        { name: "since", wideOnly: true, cell: ({ changed_at }) => <Ago at={changed_at} /> },
        {
          name: "actions",
          hidden: true,
          align: "right",
          cell: (rule) =>
            may("admin") && (
              <Button
                look="quiet"
                icon="edit"
                aria-label={`edit ${rule.name}`}
                onClick={() => onEdit({ kind: rule.kind as RuleKind, rule })}
              >
                Edit
              </Button>
            ),
        },
      ]}
    />
  );
}

const NAMES: Record<RuleKind, { title: string; label: string; hint: string }> = {
  tier: { title: "Rule of a tier", label: "Tier", hint: "Such as local; * is for all that say nothing themselves." },
  site: { title: "Policy of a site", label: "Sites", hint: "Such as *.example.com; the most telling pattern holds." },
  override: { title: "Override", label: "Name", hint: "What it is for; the first that fits by its name holds." },
};

function RuleDialog({ edited, onClose }: { edited: Edited; onClose: () => void }) {
  const { kind, rule } = edited;
  const [name, setName] = useState(edited.name ?? rule?.name ?? "");
  const [value, setValue] = useState<unknown>(rule?.value ?? {});
  const [found, setFound] = useState<Faults>({});
  const isNamed = edited.name !== undefined || rule !== undefined;
  const act = useAct({
    run: async () => {
      try {
        return await putRule(kind, name.trim(), asRule(cleaned(value)), rule);
      } catch (error) {
        if (error instanceof ApiError) setFound(faultsOf(error.problem.errors ?? [], ""));
        throw error;
      }
    },
    done: "It holds from the next browser that is chosen.",
    after: onClose,
  });
  const remove = useAct({
    run: () => told(api.DELETE("/api/v1/rules/{kind}/{name}", { params: { path: { kind, name }, query: seen(rule) } })),
    done: "Removed.",
    after: onClose,
  });
  const submit = () => {
    const wrong = faultsIn(RULE_SCHEMAS[kind], asRule(cleaned(value)));
    setFound(wrong);
    if (Object.keys(wrong).length === 0) act.mutate();
  };
  const { title, label, hint } = NAMES[kind];
  const written = JSON.stringify(asRule(cleaned(value)));
  return (
    <Ask
      title={isNamed ? `${title}: ${name}` : title}
      action="Set it"
      wide
      busy={act.isPending || remove.isPending}
      error={Object.keys(found).length > 0 && found.name === undefined ? undefined : (act.error ?? remove.error)}
      disabled={name.trim() === ""}
      onClose={onClose}
      onSubmit={submit}
    >
      {!isNamed && (
        <div className={found.name === undefined ? "field" : "field wrong"}>
          <label htmlFor="rule-name">{label}</label>
          <input id="rule-name" className="mono" value={name} onChange={(event) => setName(event.target.value)} />
          <p className="hint">{hint}</p>
        </div>
      )}
      <div className="rule-form">
        <SchemaForm
          schema={RULE_SCHEMAS[kind]}
          value={value}
          onChange={(next) => {
            setValue(next);
            setFound({});
          }}
          faults={found}
        />
      </div>
      {rule !== undefined && (
        <p className="hint">
          Version {rule.version}, by {rule.changed_by} <Ago at={rule.changed_at} />.{" "}
          <Button look="quiet" disabled={remove.isPending} onClick={() => remove.mutate()}>
            Remove the rule
          </Button>
        </p>
      )}
      <Command
        text={`valet tiers set ${kind} ${quoted(name.trim() === "" ? "NAME" : name.trim())} ${quoted(written)} --expected-version ${rule?.version ?? 0}`}
      />
    </Ask>
  );
}

/** What somebody else changed since it was shown is not overwritten. */
function seen(rule: Rule | undefined) {
  return { expected_version: rule?.version ?? 0 };
}

function putRule(kind: RuleKind, name: string, value: Record<string, unknown>, was: Rule | undefined): Promise<Rule> {
  const params = { path: { kind, name }, query: seen(was) };
  return told(api.PUT("/api/v1/rules/{kind}/{name}", { params, body: value }));
}

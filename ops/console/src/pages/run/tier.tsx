// Which tier each browser of the run is of, and why.
import type { TierDecision } from "../../lib/tiers";
import { spaced } from "../../lib/words";
import { Ago, Card, Empty } from "../../ui/basics";
import { Table } from "../../ui/table";

export function TierDecisions({ decisions }: { decisions: readonly TierDecision[] }) {
  if (decisions.length === 0) return <Empty title="The run has chosen no browser." />;
  return (
    <div className="stack">
      {decisions.map((decision, index) => (
        <Card
          key={decision.seq}
          title={decisions.length === 1 ? decision.tier : `Browser ${index + 1}: ${decision.tier}`}
          aside={
            <span className="aside">
              entry {decision.seq}, <Ago at={decision.at} />
            </span>
          }
        >
          <TierReasons decision={decision} />
        </Card>
      ))}
    </div>
  );
}

export function TierReasons({ decision }: { decision: TierDecision }) {
  const { reasons, considered, policy, wait } = decision;
  return (
    <div className="stack">
      <ol className="reasons" aria-label="reasons">
        {reasons.map((reason, index) => (
          // A decision does not change: its reasons' places are their identity.
          <li key={index}>{reason}</li>
        ))}
      </ol>
      {wait !== undefined && (
        <p className="notice warn">
          The site is visited <Ago at={wait.until} />: {wait.why}
        </p>
      )}
      {policy !== undefined && (
        <p className="hint">
          Under the policy of <code>{policy}</code>.
        </p>
      )}
      {considered.length > 0 && (
        <Table
          label="tiers that were thought of"
          rows={considered}
          rowKey={({ tier }) => tier}
          rowClass={({ tier }) => (tier === decision.tier ? "chosen" : undefined)}
          columns={[
            { name: "tier", cell: ({ tier }) => <strong>{tier}</strong> },
            { name: "verdict", cell: ({ verdict }) => <span className={`badge ${verdict}`}>{spaced(verdict)}</span> },
            { name: "why", className: "grow wrap", cell: ({ why }) => why },
          ]}
        />
      )}
    </div>
  );
}

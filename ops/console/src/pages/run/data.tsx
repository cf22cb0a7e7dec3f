// What went in and what came out.
import type { Schemas } from "../../api/client";
import { Card, JsonView } from "../../ui/basics";

export function Data({ run }: { run: Schemas["RunDetail"] }) {
  return (
    <div className="stack">
      {run.error != null && (
        <Card title="Error">
          <p className="fault">
            <code>{run.error.code}</code> {run.error.message}
          </p>
          {run.error.details != null && <JsonView value={run.error.details} label="details of the error" />}
        </Card>
      )}
      {run.output !== undefined && (
        <Card title="Output">
          <JsonView value={run.output} label="output" />
        </Card>
      )}
      {run.memo != null && (
        <Card title="What the workflow tells">
          <JsonView value={run.memo} label="memo" />
        </Card>
      )}
      <Card title="Input">
        <JsonView value={run.input} label="input" />
      </Card>
    </div>
  );
}

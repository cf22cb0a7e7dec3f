// The same on the command line.
import type { Schemas } from "../../api/client";
import { OPEN_TO_OPERATORS } from "../../lib/waterfall";
import { Command } from "../../ui/basics";

export function Commands({ run }: { run: Schemas["RunDetail"] }) {
  const live = run.ended_at == null;
  const open = run.tasks.filter(({ state }) => state === "open" || state === "claimed");
  const commands: [string, string][] = [
    ["Show it", `valet runs show ${run.id}`],
    ["Follow it to its end", `valet runs follow ${run.id}`],
    ["Its journal", `valet runs events ${run.id}`],
    ["What it left", `valet runs artifacts ${run.id}`],
    ...(live
      ? ([
          run.paused ? ["Let it go on", `valet runs resume ${run.id}`] : ["Pause it", `valet runs pause ${run.id}`],
          ["Cancel it", `valet runs cancel ${run.id}`],
          ["Let what ran out of attempts try again", `valet runs retry ${run.id}`],
          ["Change what it may spend", `valet runs budget ${run.id} 5`],
          ["Kill it", `valet runs kill ${run.id} --reason 'why'`],
        ] as [string, string][])
      : []),
    ...open.map(({ id }): [string, string] => ["Answer its task", `valet human answer ${id}`]),
    ...open.map(({ id }): [string, string] => ["Reject its task", `valet human reject ${id} --reason 'why'`]),
    ...run.steps
      .filter(({ state }) => live && OPEN_TO_OPERATORS.includes(state))
      .flatMap(({ seq, name }): [string, string][] => [
        [`Give ${name} another input`, `valet runs edit ${run.id} ${seq} --input '{}'`],
        [`Say what ${name} comes to`, `valet runs skip ${run.id} ${seq} --output null`],
      ]),
    ["Its children", `valet runs --parent ${run.id}`],
    ["Fork it at its end", `valet runs fork ${run.id} --entry ${run.entries ?? 0}`],
    ["Replay its journal with the code at hand", `valet runs replay ${run.id} --step`],
  ];
  return (
    <dl className="commands">
      {commands.map(([what, command]) => (
        <div key={command}>
          <dt>{what}</dt>
          <dd>
            <Command text={command} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

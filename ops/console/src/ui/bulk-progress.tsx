// How far a bulk operation is, and what may be done with it.
import { useState } from "react";
import { type BulkOperation, type BulkVerb, tellBulk } from "../api/bulk-operations";
import { useMay } from "../api/session";
import { actionOf, partOf, progressWords } from "../lib/bulk-operations";
import { useAct } from "./act";
import { Button } from "./basics";
import { Ask } from "./dialog";
import type { IconName } from "./icon";

export function BulkProgress({ operation, words = true }: { operation: BulkOperation; words?: boolean }) {
  const part = partOf(operation);
  const told = progressWords(operation);
  return (
    <>
      {part === undefined ? (
        <progress className="wide" aria-label={told} />
      ) : (
        <progress className="wide" value={part} max={1} aria-label={told} />
      )}
      {words && <p role="status">{told}</p>}
    </>
  );
}

interface Verb {
  verb: BulkVerb;
  name: string;
  icon: IconName;
  done: string;
  fits: (operation: BulkOperation) => boolean;
}

const VERBS: Verb[] = [
  {
    verb: "pause",
    name: "Pause",
    icon: "pause",
    done: "It begins nothing more until it is resumed.",
    fits: ({ state }) => state === "running",
  },
  { verb: "resume", name: "Resume", icon: "play", done: "It goes on.", fits: ({ state }) => state === "paused" },
  {
    verb: "cancel",
    name: "Cancel",
    icon: "stop",
    done: "What was left stays as it is.",
    fits: ({ state }) => state === "running" || state === "paused",
  },
  {
    verb: "undo",
    name: "Undo",
    icon: "retry",
    done: "It is taken back.",
    fits: ({ can_undo: can, undone_by: by, ended_at: ended }) => can && by == null && ended != null,
  },
];

interface BulkVerbsProps {
  operation: BulkOperation;
  look: "quiet" | "plain";
  /** The operation that takes it back. */
  onUndo: (undo: BulkOperation) => void;
}

/** What takes effect at once is asked for first. */
export function BulkVerbs({ operation, look, onUndo }: BulkVerbsProps) {
  const may = useMay();
  const [asked, setAsked] = useState<Verb>();
  const act = useAct<Verb>({
    run: ({ verb }) => tellBulk(verb, operation.id),
    done: ({ done }) => done,
    tellFailure: true,
  });
  const fit = VERBS.filter(({ fits }) => fits(operation));
  if (!may("operate") || fit.length === 0) return null;
  return (
    <>
      {fit.map((one) => (
        <Button
          key={one.verb}
          look={look}
          icon={one.icon}
          aria-label={`${one.name.toLowerCase()} ${operation.id}`}
          disabled={act.isPending}
          onClick={() => {
            if (one.verb === "pause" || one.verb === "resume") act.mutate(one);
            else setAsked(one);
          }}
        >
          {one.name}
        </Button>
      ))}
      {asked !== undefined && (
        <Asked operation={operation} verb={asked} onClose={() => setAsked(undefined)} onUndo={onUndo} />
      )}
    </>
  );
}

interface AskedProps {
  operation: BulkOperation;
  verb: Verb;
  onClose: () => void;
  onUndo: (undo: BulkOperation) => void;
}

function Asked({ operation, verb, onClose, onUndo }: AskedProps) {
  const isUndo = verb.verb === "undo";
  const act = useAct({
    run: () => tellBulk(verb.verb, operation.id),
    done: verb.done,
    after: (answer) => {
      onClose();
      if (isUndo) onUndo(answer as BulkOperation);
    },
  });
  const { past } = actionOf(operation.action);
  const opposite = operation.action === "pause" ? "resumed" : "paused";
  return (
    <Ask
      title={isUndo ? "Undo the operation" : "Cancel the operation"}
      action={isUndo ? "Undo it" : "Cancel it"}
      danger={!isUndo}
      busy={act.isPending}
      error={act.error}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      {isUndo ? (
        <p>
          The {operation.done.toLocaleString()} runs that it {past} are {opposite}, and no other run.
        </p>
      ) : (
        <p>
          The runs that are left stay as they are; what was {past} stays {past}.
        </p>
      )}
    </Ask>
  );
}

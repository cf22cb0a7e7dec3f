// Pauses an outgoing webhook, and lets it go on.
import { useState } from "react";
import { type Outgoing, putOutgoing } from "../../api/outgoing";
import { requestOf, typedOf } from "../../lib/outgoing";
import { useAct } from "../../ui/act";
import { Button } from "../../ui/basics";
import { Ask } from "../../ui/dialog";

export function OutgoingGate({ webhook, look }: { webhook: Outgoing; look: "quiet" | "plain" }) {
  const [asking, setAsking] = useState(false);
  const { name, paused } = webhook;
  const verb = paused ? "Resume" : "Pause";
  const act = useAct({
    run: () => putOutgoing(name, { ...requestOf(typedOf(webhook), webhook, ""), paused: !paused }),
    done: paused ? "It is told again." : "Paused.",
    after: () => setAsking(false),
  });
  return (
    <>
      <Button
        look={look}
        icon={paused ? "play" : "pause"}
        aria-label={`${verb.toLowerCase()} ${name}`}
        onClick={() => setAsking(true)}
      >
        {verb}
      </Button>
      {asking && (
        <Ask
          title={`${verb} ${name}`}
          action={verb}
          busy={act.isPending}
          error={act.error}
          onClose={() => setAsking(false)}
          onSubmit={act.mutate}
        >
          <p>
            {paused
              ? "What it is still to be told is sent now."
              : "What happens meanwhile it is not told; what it is still to be told waits."}
          </p>
        </Ask>
      )}
    </>
  );
}

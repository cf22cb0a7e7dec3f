// Pauses an outgoing webhook, and lets it go on.
import { useState } from "react";
import { type Outgoing, putOutgoing } from "../../api/outgoing";
import { isOf, requestOf, typedOf } from "../../lib/outgoing";
import { useAct } from "../../ui/act";
import { Button } from "../../ui/basics";
import { Ask } from "../../ui/dialog";
import { Field } from "../../ui/field";

export function OutgoingGate({ webhook, look }: { webhook: Outgoing; look: "quiet" | "plain" }) {
  const [asking, setAsking] = useState(false);
  const verb = webhook.paused ? "Resume" : "Pause";
  return (
    <>
      <Button
        look={look}
        icon={webhook.paused ? "play" : "pause"}
        aria-label={`${verb.toLowerCase()} ${webhook.name}`}
        onClick={() => setAsking(true)}
      >
        {verb}
      </Button>
      {asking && <Asking webhook={webhook} verb={verb} onClose={() => setAsking(false)} />}
    </>
  );
}

function Asking({ webhook, verb, onClose }: { webhook: Outgoing; verb: string; onClose: () => void }) {
  const { name, origin, paused } = webhook;
  const [url, setUrl] = useState("");
  const act = useAct({
    run: () => putOutgoing(name, { ...requestOf({ ...typedOf(webhook), url }, webhook, ""), paused: !paused }),
    done: paused ? "It is told again." : "Paused.",
    after: onClose,
  });
  const isOther = url.trim() !== "" && !isOf(origin, url);
  return (
    <Ask
      title={`${verb} ${name}`}
      action={verb}
      busy={act.isPending}
      error={act.error}
      disabled={url.trim() === "" || isOther}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>
        {paused
          ? "What it is still to be told is sent now."
          : "What happens meanwhile it is not told; what it is still to be told waits."}
      </p>
      <Field
        id="outgoing-url-again"
        label="Its whole URL, once more"
        hint={`It may hold a secret, so that only \`${origin}\` is shown; the webhook is put as a whole.`}
        fault={isOther ? `not of \`${origin}\`` : undefined}
      >
        {(describedBy) => (
          <input
            id="outgoing-url-again"
            className="mono"
            inputMode="url"
            autoComplete="off"
            spellCheck={false}
            aria-describedby={describedBy}
            value={url}
            onChange={(event) => setUrl(event.target.value)}
          />
        )}
      </Field>
    </Ask>
  );
}

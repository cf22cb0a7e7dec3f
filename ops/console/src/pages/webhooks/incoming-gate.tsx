// Pauses an incoming webhook, and lets it go on.
import { api, type Schemas, told } from "../../api/client";
import { asPut } from "../../lib/webhooks";
import { useAct } from "../../ui/act";
import { Button } from "../../ui/basics";

type Webhook = Schemas["IncomingWebhookView"];

/** What its sender is told. The engine may have other names than the one by which it is seen here. */
export function addressOf(path: string): string {
  return `${location.origin}${path}`;
}

export function IncomingGate({ webhook, look }: { webhook: Webhook; look: "quiet" | "plain" }) {
  const { name, paused } = webhook;
  const act = useAct({
    run: () => {
      const body = { ...asPut(webhook), paused: !paused };
      return told(api.PUT("/api/v1/webhooks/incoming/{name}", { params: { path: { name } }, body }));
    },
    done: paused ? "Deliveries are taken again." : "Paused: senders are told to come again later.",
    tellFailure: true,
  });
  const verb = paused ? "Resume" : "Pause";
  return (
    <Button
      look={look}
      icon={paused ? "play" : "pause"}
      aria-label={`${verb.toLowerCase()} ${name}`}
      disabled={act.isPending}
      onClick={() => act.mutate()}
    >
      {verb}
    </Button>
  );
}

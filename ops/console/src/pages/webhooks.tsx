// Webhooks: what other services tell Valet, and what Valet tells other servers.
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { useMay } from "../api/session";
import { Button, Command, Page } from "../ui/basics";
import { IncomingDialog } from "./webhooks/incoming-dialog";
import { IncomingList } from "./webhooks/incoming-list";
import { OutgoingDialog } from "./webhooks/outgoing-dialog";
import { OutgoingList } from "./webhooks/outgoing-list";

const VIEWS = ["incoming", "outgoing"] as const;

export function Webhooks() {
  const { view = "incoming" } = useSearch({ from: "/webhooks" });
  const navigate = useNavigate({ from: "/webhooks" });
  const may = useMay();
  const [making, setMaking] = useState(false);
  const isIncoming = view === "incoming";
  return (
    <Page
      title="Webhooks"
      actions={
        may("admin") && (
          <Button look="main" icon="plus" onClick={() => setMaking(true)}>
            {isIncoming ? "New incoming webhook" : "New outgoing webhook"}
          </Button>
        )
      }
    >
      <div className="tabs" role="tablist" aria-label="incoming and outgoing webhooks">
        {(may("read") ? VIEWS : VIEWS.slice(0, 1)).map((one) => (
          <button
            key={one}
            type="button"
            role="tab"
            aria-selected={one === view}
            onClick={() => void navigate({ search: one === "incoming" ? {} : { view: one }, replace: true })}
          >
            {one === "incoming" ? "Incoming" : "Outgoing"}
          </button>
        ))}
      </div>
      {isIncoming ? <IncomingList /> : <OutgoingList />}
      <Command text={`valet webhooks ${view}`} />
      {making && isIncoming && <IncomingDialog onClose={() => setMaking(false)} />}
      {making && !isIncoming && <OutgoingDialog onClose={() => setMaking(false)} />}
    </Page>
  );
}

// What stands around every page: where one can go, who is signed in, and whether the engine answers.
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useRouter } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { api, told } from "../api/client";
import { useAway } from "../api/connection";
import { pausesQuery, tasksQuery } from "../api/queries";
import { type Scope, signedOut, useMay, useWho } from "../api/session";
import { Button, Empty, Fault, Page } from "../ui/basics";
import { Dialog } from "../ui/dialog";
import { useHotkeys } from "../ui/hotkeys";
import { Icon, type IconName, Logo } from "../ui/icon";
import { useNotices } from "../ui/notices";
import { Toasts } from "../ui/toast";

interface Place {
  to:
    | "/"
    | "/runs"
    | "/bulk-operations"
    | "/inbox"
    | "/workflows"
    | "/schedules"
    | "/events"
    | "/webhooks"
    | "/queues"
    | "/workers"
    | "/sandboxes"
    | "/tiers"
    | "/subjects"
    | "/tokens"
    | "/audit";
  name: string;
  icon: IconName;
  /** Pressed after `g`. */
  hotkey: string;
  scopes: Scope[];
}

const PLACES: Place[][] = [
  [
    { to: "/", name: "Overview", icon: "overview", hotkey: "o", scopes: ["read"] },
    { to: "/runs", name: "Runs", icon: "runs", hotkey: "r", scopes: ["read"] },
    { to: "/bulk-operations", name: "Bulk operations", icon: "bulk", hotkey: "m", scopes: ["read"] },
    { to: "/inbox", name: "Inbox", icon: "inbox", hotkey: "i", scopes: ["read", "answer"] },
    { to: "/workflows", name: "Workflows", icon: "workflows", hotkey: "w", scopes: ["read", "trigger"] },
    { to: "/schedules", name: "Schedules", icon: "schedules", hotkey: "h", scopes: ["read", "trigger"] },
    { to: "/events", name: "Events", icon: "events", hotkey: "e", scopes: ["read", "trigger"] },
    { to: "/webhooks", name: "Webhooks", icon: "webhooks", hotkey: "l", scopes: ["read", "trigger"] },
  ],
  [
    { to: "/queues", name: "Queues and limits", icon: "queues", hotkey: "q", scopes: ["read"] },
    { to: "/workers", name: "Workers", icon: "workers", hotkey: "k", scopes: ["read"] },
    { to: "/sandboxes", name: "Sandboxes", icon: "sandboxes", hotkey: "x", scopes: ["read"] },
    { to: "/tiers", name: "Tiers", icon: "tiers", hotkey: "b", scopes: ["read"] },
    { to: "/subjects", name: "Subjects", icon: "subjects", hotkey: "s", scopes: ["read"] },
  ],
  [
    { to: "/tokens", name: "Tokens", icon: "tokens", hotkey: "t", scopes: ["admin"] },
    { to: "/audit", name: "Audit", icon: "audit", hotkey: "a", scopes: ["admin"] },
  ],
];

export function Shell() {
  const [menu, setMenu] = useState(false);
  const [help, setHelp] = useState(false);
  const navigate = useNavigate();
  const may = useMay();
  const groups = PLACES.map((group) => group.filter(({ scopes }) => may(...scopes)));
  const keys = groups
    .flat()
    .map(({ to, hotkey }): [string, () => void] => [`g ${hotkey}`, () => void navigate({ to })]);
  useHotkeys({ ...Object.fromEntries(keys), "?": () => setHelp(true) });
  return (
    <div className={menu ? "shell menu-open" : "shell"}>
      <a className="skip" href="#main">
        To the content
      </a>
      <header className="topbar">
        <button type="button" className="copy" aria-label="menu" aria-expanded={menu} onClick={() => setMenu(!menu)}>
          <Icon name={menu ? "close" : "menu"} />
        </button>
        <Link to="/" className="brand">
          <Logo /> Valet
        </Link>
      </header>
      <nav className="side" aria-label="pages" onClick={() => setMenu(false)}>
        <Link to="/" className="brand">
          <Logo /> Valet
        </Link>
        {groups
          .filter((group) => group.length > 0)
          .map((group) => (
            <ul key={group[0]?.to}>
              {group.map(({ to, name, icon }) => (
                <li key={to}>
                  <Link to={to} activeOptions={{ exact: to === "/" }} className="place">
                    <Icon name={icon} />
                    {name}
                    {to === "/inbox" && <OpenTasks />}
                  </Link>
                </li>
              ))}
            </ul>
          ))}
        <Who onHelp={() => setHelp(true)} />
      </nav>
      <div className="content">
        <Away />
        <EnginePaused />
        <Outlet />
      </div>
      <Toasts />
      {help && <Keys places={groups.flat()} onClose={() => setHelp(false)} />}
    </div>
  );
}

/** Beside the inbox and in the tab's title. */
function OpenTasks() {
  const { data } = useQuery(tasksQuery);
  useNotices();
  const count = data?.tasks.length ?? 0;
  const shown = data?.next_cursor == null ? String(count) : `${count}+`;
  useEffect(() => {
    document.title = count > 0 ? `(${shown}) Valet` : "Valet";
  }, [count, shown]);
  if (count === 0) return null;
  return (
    <span className="count" title={`${shown} open`}>
      {shown}
      <span className="read-only"> open</span>
    </span>
  );
}

function Away() {
  const away = useAway();
  if (!away) return null;
  return (
    <div className="banner bad" role="alert">
      The engine does not answer. It is asked again every two seconds, and everything is read anew when it does; what is
      shown below is as it was.
    </div>
  );
}

function EnginePaused() {
  const may = useMay();
  const { data } = useQuery({ ...pausesQuery, enabled: may("read") });
  const whole = data?.pauses.find(({ scope }) => scope === "engine" || scope === "tenant");
  if (whole === undefined) return null;
  return (
    <div className="banner warn" role="status">
      {whole.scope === "engine" ? "The whole engine" : `The tenant ${whole.tenant}`} is paused by {whole.paused_by}
      {whole.reason === "" ? "" : `: ${whole.reason}`}. Nothing new is granted; nothing is lost.{" "}
      <Link to="/queues">See pauses</Link>
    </div>
  );
}

function Who({ onHelp }: { onHelp: () => void }) {
  const who = useWho();
  const leave = () => {
    told(api.DELETE("/api/v1/session", {})).then(signedOut, signedOut);
  };
  return (
    <footer className="who">
      <p>
        <strong>{who.name}</strong>
        <span title="tenant">{who.tenant}</span>
      </p>
      <div>
        <ThemeButton />
        <button type="button" className="copy" aria-label="keys" title="keys: ?" onClick={onHelp}>
          <kbd>?</kbd>
        </button>
        <button type="button" className="copy" aria-label="sign out" title="sign out" onClick={leave}>
          <Icon name="leave" />
        </button>
      </div>
    </footer>
  );
}

function isDark(): boolean {
  const chosen = document.documentElement.dataset.theme;
  return chosen === undefined ? matchMedia("(prefers-color-scheme: dark)").matches : chosen === "dark";
}

function ThemeButton() {
  const [dark, setDark] = useState(isDark);
  const toggle = () => {
    const theme = dark ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem("valet.theme", theme);
    setDark(!dark);
  };
  const name = dark ? "light colours" : "dark colours";
  return (
    <button type="button" className="copy" aria-label={name} title={name} onClick={toggle}>
      <Icon name={dark ? "sun" : "moon"} />
    </button>
  );
}

function Keys({ places, onClose }: { places: Place[]; onClose: () => void }) {
  const rows = [
    ...places.map(({ name, hotkey }) => [`g ${hotkey}`, name]),
    ["/", "Runs: go to a run, or filter"],
    ["j k", "Inbox: next and last task"],
    ["a", "Inbox: to the first field of the answer"],
    ["Esc", "Inbox: out of a field"],
    ["c", "Inbox: claim"],
    ["b", "Inbox: hand back"],
    ["p", "Inbox: the picture, large"],
    ["r", "Inbox: reject"],
    ["Ctrl Enter", "Inbox: send the answer"],
    ["?", "This list"],
  ];
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl className="keys">
        {rows.map(([key, what]) => (
          <div key={key}>
            <dt>
              {key?.split(" ").map((one) => (
                <kbd key={one}>{one}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}

export function NotFound() {
  return (
    <Page title="There is no such page">
      <Empty title="The address leads nowhere.">
        <Link to="/runs">To the runs</Link>
      </Empty>
    </Page>
  );
}

export function PageFault({ error }: { error: unknown }) {
  const router = useRouter();
  return (
    <Page title="This page failed">
      <Fault error={error}>
        <Button icon="retry" onClick={() => void router.invalidate()}>
          Try again
        </Button>
      </Fault>
    </Page>
  );
}

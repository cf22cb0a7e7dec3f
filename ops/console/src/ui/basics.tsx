// The small parts of every page.
import { Link } from "@tanstack/react-router";
import { type ButtonHTMLAttributes, type ReactNode, useState } from "react";
import { ApiError, EngineAway } from "../api/client";
import { useAway } from "../api/connection";
import { relative, exact } from "../lib/time";
import { shortId, spaced } from "../lib/words";
import { Icon, type IconName } from "./icon";
import { useNow } from "./now";

export function Page({ title, actions, children }: { title: ReactNode; actions?: ReactNode; children: ReactNode }) {
  return (
    <main className="page" id="main">
      <header className="page-head">
        <h1>{title}</h1>
        {actions !== undefined && <div className="actions">{actions}</div>}
      </header>
      {children}
    </main>
  );
}

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  icon?: IconName;
  look?: "plain" | "main" | "danger" | "quiet";
  /** A key that does the same, shown beside the word. */
  hotkey?: string;
}

export function Button({ icon, look = "plain", hotkey, children, ...rest }: ButtonProps) {
  return (
    <button type="button" {...rest} className={`button ${look} ${rest.className ?? ""}`}>
      {icon !== undefined && <Icon name={icon} />}
      {children !== undefined && <span>{children}</span>}
      {hotkey !== undefined && <kbd>{hotkey}</kbd>}
    </button>
  );
}

/** What a run, a step or a task is at. */
export function StatusBadge({ status, paused = false }: { status: string; paused?: boolean }) {
  const shown = paused ? "paused" : status;
  return <span className={`badge ${shown}`}>{spaced(shown)}</span>;
}

export function Ago({ at }: { at: string }) {
  const now = useNow();
  return (
    <time dateTime={at} title={exact(at)}>
      {relative(at, now)}
    </time>
  );
}

export function RunLink({ id, whole = false }: { id: string; whole?: boolean }) {
  return (
    <Link to="/runs/$id" params={{ id }} className="mono" title={id}>
      {whole ? id : shortId(id)}
    </Link>
  );
}

export function SubjectLink({ subject }: { subject: string }) {
  return (
    <Link to="/subjects" search={{ subject }} className="plain-link">
      {subject}
    </Link>
  );
}

export function Copy({ text, what }: { text: string; what: string }) {
  const [done, setDone] = useState(false);
  const copy = () => {
    void copyText(text).then((copied) => {
      setDone(copied);
      setTimeout(() => setDone(false), 1_500);
    });
  };
  return (
    <button type="button" className="copy" onClick={copy} aria-label={`copy ${what}`} title={`copy ${what}`}>
      <Icon name={done ? "check" : "copy"} />
    </button>
  );
}

async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Not there without TLS.
    return false;
  }
}

/** A command of the command line that does the same. */
export function Command({ text }: { text: string }) {
  return (
    <div className="command">
      <code tabIndex={0}>{text}</code>
      <Copy text={text} what="the command" />
    </div>
  );
}

/** A text to take elsewhere. */
export function Value({ text, what }: { text: string; what: string }) {
  return (
    <div className="command value">
      <code tabIndex={0}>{text}</code>
      <Copy text={text} what={what} />
    </div>
  );
}

export function JsonView({ value, label }: { value: unknown; label: string }) {
  const text = value === undefined ? "null" : JSON.stringify(value, null, 2);
  return (
    <div className="json">
      <Copy text={text} what={label} />
      <pre tabIndex={0} aria-label={label}>
        {text}
      </pre>
    </div>
  );
}

/** A sentence whose words between backticks are code. */
export function Prose({ text }: { text: string }) {
  // The places of a fixed sentence are its parts' identity.
  return text.split("`").map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part));
}

/** Nothing is here: says why, and what to do. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children}
    </div>
  );
}

export function Loading() {
  return (
    <div className="loading" role="status">
      <span className="spinner" /> reading…
    </div>
  );
}

/** What went wrong, in the engine's words, with the id under which its log has it. */
export function Fault({ error, children }: { error: unknown; children?: ReactNode }) {
  const away = useAway();
  if (error == null) return null;
  // What is shown was read anew by now; what a person did was not done again.
  const wasAway = error instanceof EngineAway && !away;
  return (
    <div className="fault" role="alert">
      <p>{wasAway ? "The engine was away and gave no answer. Do it again: it counts once." : sentence(error)}</p>
      {error instanceof ApiError && (
        <p className="fault-detail">
          <code>{error.problem.code}</code>
          {error.problem.request_id != null && <> · request {error.problem.request_id}</>}
        </p>
      )}
      {children}
    </div>
  );
}

export function sentence(error: unknown): string {
  if (error instanceof ApiError) {
    const { detail, field, code } = error.problem;
    if (code === "wrong_scope") return `${capital(detail)}. Sign in with another token to do this.`;
    return field == null || field === "id" ? `${capital(detail)}.` : `${capital(detail)} (at ${field}).`;
  }
  if (error instanceof EngineAway) return `${capital(error.message)}. What you typed stays here.`;
  return error instanceof Error ? error.message : String(error);
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function Facts({ children }: { children: ReactNode }) {
  return <dl className="facts">{children}</dl>;
}

export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

export function Card({ title, aside, children }: { title: string; aside?: ReactNode; children: ReactNode }) {
  return (
    <section className="card">
      <header>
        <h2>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  );
}

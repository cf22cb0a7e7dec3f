// One task: what is asked, what one needs to see for it, and the answer.
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type SubmitEvent, type KeyboardEvent, useEffect, useMemo, useRef, useState } from "react";
import { api, ApiError, fileUrl, newKey, type Schemas, told } from "../../api/client";
import { useJournal } from "../../api/journal-stream";
import { runQuery, taskQuery } from "../../api/queries";
import { useMay, useWho } from "../../api/session";
import { draftOf, dropDraft, isDrafted, keepDraft } from "../../lib/drafts";
import { isObject, text } from "../../lib/json";
import { cleaned, type Faults, faults as faultsIn, faultsOf, initial } from "../../lib/schema";
import { spaced } from "../../lib/words";
import { useAct } from "../../ui/act";
import { Ago, Button, Command, Copy, Fault, JsonView, Loading, RunLink, StatusBadge } from "../../ui/basics";
import { Deadline } from "../../ui/deadline";
import { Ask, Dialog } from "../../ui/dialog";
import { useHotkeys } from "../../ui/hotkeys";
import { SchemaForm } from "../../ui/schema-form";
import { toast } from "../../ui/toast";

type Task = Schemas["TaskView"];

export function TaskPane({ id, next }: { id: string; next: string | undefined }) {
  const query = useQuery(taskQuery(id));
  if (query.data === undefined) {
    return <div className="task">{query.isPending ? <Loading /> : <Fault error={query.error} />}</div>;
  }
  return <Shown task={query.data} next={next} />;
}

function Shown({ task, next }: { task: Task; next: string | undefined }) {
  const { name } = useWho();
  const may = useMay();
  const open = task.state === "open" || task.state === "claimed";
  const another = open && task.claimed_by != null && task.claimed_by !== name ? task.claimed_by : undefined;
  useClosing(task, open, next);
  return (
    <article className="task" aria-label={task.title}>
      <header>
        <Link to="/inbox" className="back">
          All tasks
        </Link>
        <h2>{task.title}</h2>
        <p className="task-facts">
          <span className="badge waiting">{spaced(task.reason)}</span>
          {!open && <StatusBadge status={task.state} />}
          <span>
            {task.workflow} <RunLink id={task.run} />
          </span>
          <span>
            asked <Ago at={task.opened_at} />
          </span>
          {open && (
            <span>
              ends in <Deadline at={task.deadline} from={task.opened_at} />
            </span>
          )}
        </p>
      </header>
      {another !== undefined && (
        <p className="notice warn" role="status">
          {another} has claimed this task. An answer of yours would still be taken, if it is the first.
        </p>
      )}
      {open && <RunMovedOn task={task} />}
      {open && may("answer") && <Meanwhile task={task} />}
      <div className="task-body">
        <Context context={task.context} />
        {open && may("answer") ? <Answer task={task} next={next} /> : <Over task={task} open={open} />}
      </div>
    </article>
  );
}

/**
 * When somebody else ended it, or its time did, there is nothing left to do here: on to the next one. What was typed and not sent keeps
 * it open.
 */
function useClosing({ id, state, ended_by: by }: Task, open: boolean, next: string | undefined) {
  const navigate = useNavigate();
  const wasOpen = useRef(open);
  useEffect(() => {
    if (open || !wasOpen.current || isDrafted(id)) return;
    wasOpen.current = false;
    toast(`The task is over: ${spaced(state)}${by == null ? "" : ` by ${by}`}.`);
    if (next === undefined) void navigate({ to: "/inbox", replace: true });
    else void navigate({ to: "/inbox/$id", params: { id: next }, replace: true });
  }, [id, state, by, open, next, navigate]);
}

/** Lines that are shown. */
const MEANWHILE_MAX = 4;

/** What the run did since the person was asked. */
function Meanwhile({ task }: { task: Task }) {
  const { story } = useJournal(task.run, true);
  const since = Date.parse(task.opened_at);
  const lines = useMemo(() => story.lines.filter(({ at }) => Date.parse(at) > since), [story, since]);
  if (lines.length === 0) return null;
  return (
    <section className="meanwhile" aria-label="meanwhile">
      <h3>Since it was asked</h3>
      <ul>
        {lines.slice(-MEANWHILE_MAX).map(({ id, at, mark, words }) => (
          <li key={id}>
            <span className={`mark ${mark}`} aria-hidden="true" />
            {words} <Ago at={at} />
          </li>
        ))}
      </ul>
    </section>
  );
}

/** The run may be paused or end while somebody types. */
function RunMovedOn({ task }: { task: Task }) {
  const may = useMay();
  const { data: run } = useQuery({ ...runQuery(task.run), enabled: may("read") });
  if (run === undefined || (!run.paused && run.paused_by_scope == null)) return null;
  return (
    <p className="notice" role="status">
      The run is paused{run.paused_by_scope == null ? "" : ` by its ${run.paused_by_scope}`}: an answer is kept, and
      delivered on resume.
    </p>
  );
}

function Over({ task, open }: { task: Task; open: boolean }) {
  const [draft, setDraft] = useState(() => draftOf(task.id));
  if (open)
    return <p className="notice">To answer this, sign in with a token of the role reviewer, operator or admin.</p>;
  const discard = () => {
    dropDraft(task.id);
    setDraft(undefined);
  };
  return (
    <div className="stack">
      <p className="notice" role="status">
        The task is over: {spaced(task.state)}
        {task.ended_by != null && ` by ${task.ended_by}`}.
      </p>
      {draft !== undefined && (
        <>
          <h3>What you typed, and did not send</h3>
          <JsonView value={cleaned(draft.value)} label="what you typed" />
          <Button look="quiet" onClick={discard}>
            Discard it
          </Button>
        </>
      )}
    </div>
  );
}

/** What the workflow put there for the person; a picture as a picture, an address as an address. */
function Context({ context }: { context: unknown }) {
  const [large, setLarge] = useState(false);
  useHotkeys({ p: () => setLarge(true) });
  if (!isObject(context)) return context == null ? null : <JsonView value={context} label="context" />;
  const { screenshot, url, prompt, complaint, fields, questions: _, ...rest } = context;
  const picture = typeof screenshot === "string" ? fileUrl(screenshot) : undefined;
  const others = Object.fromEntries(Object.entries(rest).filter(([, value]) => value != null));
  return (
    <div className="task-context">
      {typeof complaint === "string" && <p className="notice warn">The page said of the last answer: {complaint}</p>}
      {typeof prompt === "string" && <p>{prompt}</p>}
      {picture !== undefined && (
        <button type="button" className="screenshot" onClick={() => setLarge(true)}>
          <img src={picture} alt="the page as it is" />
        </button>
      )}
      {typeof url === "string" && (
        <p className="hint clip" title={url}>
          the page: <span className="mono">{url}</span>
        </p>
      )}
      {Array.isArray(fields) && <FilledFields fields={fields} />}
      {Object.keys(others).length > 0 && <JsonView value={others} label="context" />}
      {large && picture !== undefined && (
        <Dialog title="The page as it is" wide onClose={() => setLarge(false)}>
          <img className="picture" src={picture} alt="the page as it is, large" />
        </Dialog>
      )}
    </div>
  );
}

function FilledFields({ fields }: { fields: readonly unknown[] }) {
  return (
    <dl className="filled">
      {fields.filter(isObject).map((field, index) => (
        // A page's fields have no identity but their place.
        <div key={index}>
          <dt>{text(field.label)}</dt>
          <dd>{text(field.value)}</dd>
        </div>
      ))}
    </dl>
  );
}

function Answer({ task, next }: { task: Task; next: string | undefined }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const { name } = useWho();
  const schema = isObject(task.form) ? task.form : {};
  const [value, setValue] = useState<unknown>(() => draftOf(task.id)?.value ?? initial(schema, schema));
  const [found, setFound] = useState<Faults>({});
  const [rejecting, setRejecting] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const params = { path: { id: task.id } };
  const mine = task.claimed_by === name;
  const claim = useAct({ run: () => told(api.POST("/api/v1/human-tasks/{id}/claim", { params })), done: "Yours." });
  const release = useAct({
    run: () => told(api.POST("/api/v1/human-tasks/{id}/release", { params })),
    done: "Handed back.",
  });
  const answer = useMutation({
    mutationFn: () => {
      const header = { "Idempotency-Key": draftOf(task.id)?.key ?? newKey() };
      const body = { answer: cleaned(value) };
      return told(api.POST("/api/v1/human-tasks/{id}/answer", { params: { ...params, header }, body }));
    },
    onSuccess: () => {
      toast("Answered: the run goes on.");
      dropDraft(task.id);
      leave();
    },
    onError: (error) => {
      if (error instanceof ApiError) setFound(faultsOf(error.problem.errors ?? [], "/answer"));
    },
    onSettled: () => void client.invalidateQueries({ queryKey: ["tasks"] }),
  });
  const leave = () => {
    void client.invalidateQueries({ queryKey: ["runs"] });
    if (next === undefined) void navigate({ to: "/inbox" });
    else void navigate({ to: "/inbox/$id", params: { id: next }, replace: true });
  };
  const change = (to: unknown) => {
    setValue(to);
    keepDraft(task.id, to);
    setFound({});
  };
  const toField = () => form.current?.querySelector<HTMLElement>("input, textarea, select")?.focus();
  const send = () => {
    if (answer.isPending) return;
    const wrong = faultsIn(schema, cleaned(value));
    setFound(wrong);
    if (Object.keys(wrong).length === 0) answer.mutate();
    else toField();
  };
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    send();
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      send();
    }
    // Out of the field, so that the other keys count again.
    if (event.key === "Escape" && event.target instanceof HTMLElement) event.target.blur();
  };
  useHotkeys({ a: toField, b: () => mine && release.mutate(), c: () => claim.mutate(), r: () => setRejecting(true) });
  const ended = conflict(answer.error) ?? conflict(claim.error) ?? conflict(release.error);
  return (
    <form ref={form} className="task-form" onSubmit={submit} onKeyDown={press}>
      {ended !== undefined ? (
        <Conflict problem={ended} value={value} />
      ) : (
        <Fault error={shownError(answer.error, found) ?? claim.error ?? release.error} />
      )}
      <SchemaForm schema={schema} value={value} onChange={change} faults={found} />
      <footer className="actions">
        <Button
          type="submit"
          look="main"
          icon="check"
          disabled={answer.isPending}
          aria-busy={answer.isPending}
          hotkey="Ctrl ↵"
        >
          Done
        </Button>
        {mine ? (
          <Button onClick={() => release.mutate()} disabled={release.isPending} hotkey="b">
            Hand back
          </Button>
        ) : (
          <Button onClick={() => claim.mutate()} disabled={claim.isPending} hotkey="c">
            Claim
          </Button>
        )}
        <Button look="danger" onClick={() => setRejecting(true)} hotkey="r">
          Reject
        </Button>
      </footer>
      <Command text={`valet human answer ${task.id}`} />
      {rejecting && <Reject task={task} onClose={() => setRejecting(false)} onDone={leave} />}
    </form>
  );
}

function conflict(error: unknown): Schemas["Problem"] | undefined {
  return error instanceof ApiError && error.problem.status === 409 ? error.problem : undefined;
}

/** Faults of fields stand beside the fields. */
function shownError(error: unknown, found: Faults): unknown {
  return Object.keys(found).length > 0 ? undefined : error;
}

/** Somebody was faster: who, when, and what was typed here is not lost. */
function Conflict({ problem, value }: { problem: Schemas["Problem"]; value: unknown }) {
  const typed = JSON.stringify(cleaned(value), null, 2);
  const what = problem.code === "task_taken" ? "claimed" : spaced(problem.outcome ?? "ended");
  return (
    <div className="fault" role="alert">
      <p>
        This task was {what}
        {problem.by != null && (
          <>
            {" "}
            by <strong>{problem.by}</strong>
          </>
        )}
        {problem.at != null && (
          <>
            {" "}
            <Ago at={problem.at} />
          </>
        )}
        . What you typed is still here <Copy text={typed} what="what you typed" />
      </p>
    </div>
  );
}

function Reject({ task, onClose, onDone }: { task: Task; onClose: () => void; onDone: () => void }) {
  const [reason, setReason] = useState("");
  const [key] = useState(newKey);
  const act = useAct({
    run: () => {
      const params = { path: { id: task.id }, header: { "Idempotency-Key": key } };
      return told(api.POST("/api/v1/human-tasks/{id}/reject", { params, body: { reason } }));
    },
    done: "Rejected.",
    after: () => {
      onClose();
      onDone();
    },
  });
  const lost = conflict(act.error);
  return (
    <Ask
      title="Reject the task"
      action="Reject"
      danger
      busy={act.isPending}
      error={lost === undefined ? act.error : undefined}
      onClose={onClose}
      onSubmit={act.mutate}
    >
      <p>The workflow decides what that means; most end the run.</p>
      {lost !== undefined && <Conflict problem={lost} value={reason} />}
      <div className="field">
        <label htmlFor="reject-reason">Reason, for the journal</label>
        <textarea id="reject-reason" rows={3} value={reason} onChange={(event) => setReason(event.target.value)} />
      </div>
    </Ask>
  );
}

// What waits for people: open tasks by deadline beside the one that is worked on. All of it works by keys.
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { fileUrl, type Schemas } from "../api/client";
import { tasksQuery } from "../api/queries";
import { useMay, useWho } from "../api/session";
import { isDrafted } from "../lib/drafts";
import { isObject } from "../lib/json";
import { plural, spaced } from "../lib/words";
import { Button, Empty, Fault, Loading, Page } from "../ui/basics";
import { Deadline } from "../ui/deadline";
import { useHotkeys } from "../ui/hotkeys";
import { mayNotify } from "../ui/notices";
import { TaskPane } from "./inbox/task-pane";

type Task = Schemas["TaskView"];

export function Inbox() {
  const { id } = useParams({ strict: false });
  const query = useQuery(tasksQuery);
  const navigate = useNavigate();
  const tasks = query.data?.tasks ?? [];
  const at = tasks.findIndex((task) => task.id === id);
  const go = (to: Task | undefined) => {
    if (to !== undefined) void navigate({ to: "/inbox/$id", params: { id: to.id }, replace: true });
  };
  const next = tasks[at + 1] ?? tasks[at - 1];
  useHotkeys({ j: () => go(tasks[at + 1]), k: () => go(tasks[Math.max(0, at - 1)]) });
  return (
    <Page title="Inbox" actions={<Notify />}>
      <Fault error={query.error} />
      {query.isPending && <Loading />}
      {query.isSuccess && tasks.length === 0 && id === undefined && (
        <Empty title="Nobody is needed.">
          <p>Tasks appear here when a run asks for a person: an answer, a code, a sign-in, a review.</p>
        </Empty>
      )}
      <div className={id === undefined ? "inbox" : "inbox open"}>
        {tasks.length > 0 && <List tasks={tasks} hasMore={query.data?.next_cursor != null} current={id} />}
        {id === undefined ? (
          tasks.length > 0 && (
            <Empty title="Choose a task.">
              <p>
                <kbd>j</kbd> and <kbd>k</kbd> go through them.
              </p>
            </Empty>
          )
        ) : (
          <TaskPane key={id} id={id} next={next?.id} />
        )}
      </div>
    </Page>
  );
}

function List({ tasks, hasMore, current }: { tasks: readonly Task[]; hasMore: boolean; current: string | undefined }) {
  const { name } = useWho();
  return (
    <nav className="task-list" aria-label="open tasks">
      <ol>
        {tasks.map((task) => (
          <li key={task.id}>
            <Link
              to="/inbox/$id"
              params={{ id: task.id }}
              aria-current={task.id === current ? "true" : undefined}
              replace
            >
              <Thumbnail task={task} />
              <span className="task-title">{task.title}</span>
              <span className="task-facts">
                <span className="badge waiting">{spaced(task.reason)}</span>
                {task.claimed_by != null && <span>{task.claimed_by === name ? "yours" : task.claimed_by}</span>}
                {isDrafted(task.id) && <span>draft</span>}
                <Deadline at={task.deadline} from={task.opened_at} />
              </span>
            </Link>
          </li>
        ))}
      </ol>
      <p className="hint">
        {hasMore ? `The ${tasks.length} with the nearest deadlines.` : plural(tasks.length, "open task")}
      </p>
    </nav>
  );
}

/** The page as it was when the task was opened. */
function Thumbnail({ task: { context } }: { task: Task }) {
  const may = useMay();
  const picture = isObject(context) && typeof context.screenshot === "string" ? context.screenshot : undefined;
  if (picture === undefined || !may("trigger", "operate", "answer")) return null;
  return <img className="thumbnail" src={fileUrl(picture)} alt="" loading="lazy" width={64} height={44} />;
}

/** Asks the browser; the notices themselves come on every page. */
function Notify() {
  const [permission, setPermission] = useState(mayNotify);
  if (permission !== "default") return null;
  return (
    <Button icon="bell" onClick={() => void Notification.requestPermission().then(setPermission)}>
      Notify me
    </Button>
  );
}

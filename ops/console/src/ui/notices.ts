// Tells of new tasks while the console is in the background, if the browser is allowed to.
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { tasksQuery } from "../api/queries";

export function mayNotify(): NotificationPermission {
  return "Notification" in window ? Notification.permission : "denied";
}

export function useNotices(): void {
  const { data } = useQuery(tasksQuery);
  const navigate = useNavigate();
  const known = useRef<Set<string>>(undefined);
  useEffect(() => {
    if (data === undefined) return;
    // Of what was there before the console was opened nobody is told.
    const fresh = known.current === undefined ? [] : data.tasks.filter(({ id }) => known.current?.has(id) === false);
    known.current = new Set([...(known.current ?? []), ...data.tasks.map(({ id }) => id)]);
    const [first] = fresh;
    if (first === undefined || !document.hidden || mayNotify() !== "granted") return;
    const body = fresh.length === 1 ? first.title : `${fresh.length} new tasks wait for a person`;
    const notice = new Notification("Valet", { body, tag: "valet-tasks" });
    notice.onclick = () => {
      window.focus();
      void navigate({ to: "/inbox/$id", params: { id: first.id } });
    };
  }, [data, navigate]);
}

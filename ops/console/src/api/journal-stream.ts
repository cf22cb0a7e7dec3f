// The journal of a run as it grows. The browser asks again by itself when the stream breaks, and names the last event it has.
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { JournalEvent } from "../lib/journal";
import { isObject } from "../lib/json";

/** Events that come together are drawn together. */
const GATHER_MS = 150;
/** A stream that the engine refused, as when all its places are taken, is asked for again after this. */
const REFUSED_MS = 5_000;

export type StreamState = "opening" | "live" | "ended" | "broken";

export interface JournalStream {
  events: readonly JournalEvent[];
  state: StreamState;
}

const NONE: JournalStream = { events: [], state: "opening" };

/** With each batch the run itself is read anew. */
export function useJournal(run: string, enabled: boolean): JournalStream {
  const client = useQueryClient();
  const [stream, setStream] = useState<JournalStream & { run: string }>({ ...NONE, run });
  useEffect(() => {
    if (!enabled) return undefined;
    let gathered: JournalEvent[] = [];
    let events: JournalEvent[] = [];
    let state: StreamState = "opening";
    let timer: ReturnType<typeof setTimeout> | undefined;
    let again: ReturnType<typeof setTimeout> | undefined;
    let source: EventSource;
    const show = () => {
      timer = undefined;
      if (gathered.length > 0) {
        events = [...events, ...gathered];
        gathered = [];
        void client.invalidateQueries({ queryKey: ["run", run] });
      }
      setStream({ events, state, run });
    };
    const soon = (next: StreamState) => {
      state = next;
      timer ??= setTimeout(show, GATHER_MS);
    };
    const open = () => {
      source = new EventSource(`/api/v1/runs/${encodeURIComponent(run)}/events`);
      source.onopen = () => soon("live");
      source.addEventListener("journal", (message) => {
        const event = JSON.parse(String(message.data)) as JournalEvent;
        gathered.push(event);
        if (isEnd(event)) source.close();
        soon(isEnd(event) ? "ended" : "live");
      });
      source.onerror = () => {
        soon("broken");
        if (source.readyState !== EventSource.CLOSED) return;
        // A new stream begins with the first event.
        again = setTimeout(() => {
          events = [];
          open();
        }, REFUSED_MS);
      };
    };
    open();
    return () => {
      clearTimeout(timer);
      clearTimeout(again);
      source.close();
    };
  }, [client, run, enabled]);
  return stream.run === run ? stream : NONE;
}

function isEnd({ entry }: JournalEvent): boolean {
  return entry === "ended" || (isObject(entry) && "ended" in entry);
}

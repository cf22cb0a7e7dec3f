// The journal of a run as it grows. The browser asks again by itself when the stream breaks, and names the last event it has.
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { type JournalEvent, type Story, Teller } from "../lib/journal";
import { isObject } from "../lib/json";

/** Events that come together are drawn together. */
const GATHER_MS = 150;
/** The run itself is read again at most so often, however fast its journal grows. */
const READ_AGAIN_MS = 1_000;
/** A stream that the engine refused, as when all its places are taken, is asked for again after this. */
const REFUSED_MS = 5_000;

/** Of a short journal the reader sees each change at once. */
const BEGINNING_MAX = 200;

export type StreamState = "opening" | "live" | "ended" | "broken";

export interface JournalStream {
  story: Story;
  state: StreamState;
}

const NONE: JournalStream = { story: new Teller().story(), state: "opening" };

/** While it grows, the run itself is read anew too. */
export function useJournal(run: string, enabled: boolean): JournalStream {
  const client = useQueryClient();
  const [stream, setStream] = useState<JournalStream & { run: string }>({ ...NONE, run });
  useEffect(() => {
    if (!enabled) return undefined;
    let gathered: JournalEvent[] = [];
    let teller = new Teller();
    let { story } = NONE;
    let state: StreamState = "opening";
    let timer: ReturnType<typeof setTimeout> | undefined;
    let again: ReturnType<typeof setTimeout> | undefined;
    let reading: ReturnType<typeof setTimeout> | undefined;
    let source: EventSource;
    const show = () => {
      timer = undefined;
      if (gathered.length > 0) {
        gathered.forEach((event) => teller.event(event));
        gathered = [];
        story = teller.story();
        reading ??= setTimeout(read, story.lines.length > BEGINNING_MAX ? READ_AGAIN_MS : GATHER_MS);
      }
      setStream({ story, state, run });
    };
    const read = () => {
      reading = undefined;
      // A read that is under way is let end: else a journal that grows steadily would never let one.
      void client.invalidateQueries({ queryKey: ["run", run] }, { cancelRefetch: false });
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
          teller = new Teller();
          open();
        }, REFUSED_MS);
      };
    };
    open();
    return () => {
      clearTimeout(timer);
      clearTimeout(again);
      clearTimeout(reading);
      source.close();
    };
  }, [client, run, enabled]);
  return stream.run === run ? stream : NONE;
}

function isEnd({ entry }: JournalEvent): boolean {
  return entry === "ended" || (isObject(entry) && "ended" in entry);
}

// Keys that do something on a page, while nobody types.
import { useEffect, useRef } from "react";

export type Hotkeys = Record<string, () => void>;

/** What follows it belongs to it: `g r` is no `r`. */
const LEADER = "g";

/** By the key, or two keys one after the other: `g r`. */
export function useHotkeys(keys: Hotkeys): void {
  const current = useRef(keys);
  useEffect(() => {
    current.current = keys;
  });
  useEffect(() => {
    let first = "";
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || isAsking()) return;
      const two = `${first} ${event.key}`;
      const action = current.current[two] ?? (first === LEADER ? undefined : current.current[event.key]);
      first = event.key;
      if (action === undefined) return;
      event.preventDefault();
      first = "";
      action();
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, []);
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("input:not([type=checkbox]), textarea, select") !== null;
}

function isAsking(): boolean {
  return document.querySelector("dialog[open]") !== null;
}

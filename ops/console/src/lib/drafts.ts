// What was typed into tasks and not sent yet. In memory only: it may be personal, or a secret.
import { newKey } from "../api/client";

interface Draft {
  value: unknown;
  /** The same answer sent twice is one answer. */
  key: string;
}

const drafts = new Map<string, Draft>();

export function draftOf(task: string): Draft | undefined {
  return drafts.get(task);
}

export function isDrafted(task: string): boolean {
  return drafts.has(task);
}

/** Another value is another answer. */
export function keepDraft(task: string, value: unknown): void {
  drafts.set(task, { value, key: newKey() });
}

export function dropDraft(task: string): void {
  drafts.delete(task);
}

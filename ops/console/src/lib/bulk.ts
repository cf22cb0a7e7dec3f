// The same thing done to many runs: a few at a time, with what became of each.

export interface Progress {
  done: number;
  failed: { id: string; error: unknown }[];
  total: number;
}

/** Requests at once: enough to be quick, few enough to leave the engine to others. */
const AT_ONCE = 6;

/** Stops between two runs when it is told to. */
export async function toEach(
  ids: readonly string[],
  act: (id: string) => Promise<unknown>,
  tell: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<Progress> {
  const waiting = [...ids];
  const progress: Progress = { done: 0, failed: [], total: ids.length };
  const hand = async () => {
    for (let id = waiting.shift(); id !== undefined && !signal.aborted; id = waiting.shift()) {
      try {
        await act(id);
        progress.done += 1;
      } catch (error) {
        progress.failed.push({ id, error });
      }
      tell({ ...progress, failed: [...progress.failed] });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, hand));
  return progress;
}

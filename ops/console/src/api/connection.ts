// Whether the engine answers. While it does not, it is asked every two seconds; when it does again, everything is read anew.
import { createStore, useStore } from "./store";

const ASK_AGAIN_MS = 2_000;

const away = createStore(false);
let onReturn: () => void = () => undefined;

export function whenBack(action: () => void): void {
  onReturn = action;
}

export function heard(): void {
  away.set(false);
}

export function lost(): void {
  if (away.get()) return;
  away.set(true);
  setTimeout(ask, ASK_AGAIN_MS);
}

function ask(): void {
  if (!away.get()) return;
  fetch("/healthz", { cache: "no-store" }).then(
    (response) => {
      if (response.ok) {
        away.set(false);
        onReturn();
      } else {
        setTimeout(ask, ASK_AGAIN_MS);
      }
    },
    () => setTimeout(ask, ASK_AGAIN_MS),
  );
}

export function useAway(): boolean {
  return useStore(away);
}

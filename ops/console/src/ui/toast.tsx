// Short notices of what was done.
import { createStore, useStore } from "../api/store";

const SHOWN_MS = 5_000;

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}

const toasts = createStore<readonly Toast[]>([]);
let count = 0;

export function toast(text: string, bad = false): void {
  const id = ++count;
  toasts.set([...toasts.get(), { id, text, bad }]);
  setTimeout(() => toasts.set(toasts.get().filter((one) => one.id !== id)), SHOWN_MS);
}

export function Toasts() {
  const shown = useStore(toasts);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown.map(({ id, text, bad }) => (
        <div key={id} className={bad ? "toast bad" : "toast"}>
          {text}
        </div>
      ))}
    </div>
  );
}

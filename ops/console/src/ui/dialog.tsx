// Dialogs: the browser's own, which keeps the focus inside and closes with Escape.
import { type SubmitEvent, type ReactNode, useEffect, useId, useRef } from "react";
import { Button, Fault } from "./basics";
import { Icon } from "./icon";

/** What is typed into first. */
const FIRST_FIELD = ["input", "select", "textarea"].map((field) => `form ${field}:not(:disabled)`).join(", ");

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ReactNode;
  wide?: boolean;
}

export function Dialog({ title, onClose, children, wide = false }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const dialog = element.current;
    dialog?.showModal();
    // Else the button that closes it, which comes first, has the focus.
    dialog?.querySelector<HTMLElement>(FIRST_FIELD)?.focus();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={element}
      className={wide ? "dialog wide" : "dialog"}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <header>
        <h2 id={heading}>{title}</h2>
        <button type="button" className="copy" aria-label="close" onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      {children}
    </dialog>
  );
}

interface AskProps extends DialogProps {
  /** The word on the button. */
  action: string;
  danger?: boolean;
  /** The word on the other one. */
  leave?: string;
  busy: boolean;
  error: unknown;
  disabled?: boolean;
  onSubmit: () => void;
}

/** Asks for something, then does it; stays open with what was typed until it is done. */
export function Ask({
  action,
  leave = "Not now",
  danger = false,
  busy,
  error,
  disabled = false,
  onSubmit,
  children,
  ...dialog
}: AskProps) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (!busy && !disabled) onSubmit();
  };
  return (
    <Dialog {...dialog}>
      <form onSubmit={submit} className="stack">
        {children}
        <Fault error={error} />
        <footer>
          <Button onClick={dialog.onClose}>{leave}</Button>
          <Button type="submit" look={danger ? "danger" : "main"} disabled={busy || disabled} aria-busy={busy}>
            {action}
          </Button>
        </footer>
      </form>
    </Dialog>
  );
}

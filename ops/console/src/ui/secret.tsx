// A secret that is shown this once.
import type { ReactNode } from "react";
import { Button, Value } from "./basics";
import { Dialog } from "./dialog";

interface SecretProps {
  title: string;
  secret: string;
  /** What to do with it. */
  children?: ReactNode;
  onClose: () => void;
}

export function SecretOnce({ title, secret, children, onClose }: SecretProps) {
  return (
    <Dialog title={title} onClose={onClose}>
      <div className="stack">
        <p>This is the only time that the secret is shown.</p>
        <Value text={secret} what="the secret" />
        {children}
        <footer>
          <Button look="main" onClick={onClose}>
            I have kept it
          </Button>
        </footer>
      </div>
    </Dialog>
  );
}

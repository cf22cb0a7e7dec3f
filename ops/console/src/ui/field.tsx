// A field of a form that is written by hand.
import type { ReactNode } from "react";
import { Prose } from "./basics";

interface FieldProps {
  id: string;
  label: ReactNode;
  hint?: string;
  optional?: boolean;
  fault: string | undefined;
  children: (describedBy: string) => ReactNode;
}

/** Label, control, what is wrong, what it means. */
export function Field({ id, label, hint, optional = false, fault, children }: FieldProps) {
  return (
    <div className={fault === undefined ? "field" : "field wrong"}>
      <label htmlFor={id}>
        {label} {optional && <span className="optional">optional</span>}
      </label>
      {children(`${id}-about`)}
      <div id={`${id}-about`} className="below">
        {fault !== undefined && (
          <p className="field-fault">
            <Prose text={fault} />
          </p>
        )}
        {hint !== undefined && (
          <p className="hint">
            <Prose text={hint} />
          </p>
        )}
      </div>
    </div>
  );
}

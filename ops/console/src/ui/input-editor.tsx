// The input of a run: a form of the workflow's schema, or JSON.
import { useState } from "react";
import type { Faults, Schema } from "../lib/schema";
import { JsonInput, SchemaForm } from "./schema-form";

interface InputEditorProps {
  schema: Schema;
  value: unknown;
  onChange: (value: unknown) => void;
  faults: Faults;
  subject?: string | undefined;
}

export function InputEditor({ schema, value, onChange, faults, subject }: InputEditorProps) {
  const [asJson, setAsJson] = useState(false);
  const places = Object.keys(faults);
  return (
    <>
      <div className="tabs" role="tablist" aria-label="how the input is given">
        <button type="button" role="tab" aria-selected={!asJson} onClick={() => setAsJson(false)}>
          Form
        </button>
        <button type="button" role="tab" aria-selected={asJson} onClick={() => setAsJson(true)}>
          JSON
        </button>
      </div>
      {asJson ? (
        <div className="field">
          <label htmlFor="input">Input</label>
          <JsonInput id="input" value={value} onChange={onChange} rows={20} />
        </div>
      ) : (
        <SchemaForm
          schema={schema}
          value={value}
          onChange={onChange}
          faults={faults}
          {...(subject === undefined || subject === "" ? {} : { subject })}
        />
      )}
      {places.length > 0 && (
        <div className="fault" role="alert">
          <p>Something in the input does not fit{asJson ? ":" : "; see the fields that are marked."}</p>
          {(asJson || places.includes("")) && (
            <ul>
              {places.map((place) => (
                <li key={place}>
                  <code>{place === "" ? "the whole" : place}</code>: {faults[place]}
                </li>
              ))}
            </ul>
          )}
        </div>
      )}
    </>
  );
}

// A form for a JSON Schema. What it shows is decided in lib/schema.ts; here it is drawn.
import { type ChangeEvent, type ReactNode, useId, useState } from "react";
import { uploadFile } from "../api/client";
import { isObject, type Json, pointerPart, text } from "../lib/json";
import { type Faults, field, initial, label, requiredOf, type Schema } from "../lib/schema";
import { Button, Prose, sentence } from "./basics";

interface FormProps {
  schema: Schema;
  value: unknown;
  onChange: (value: unknown) => void;
  faults: Faults;
  /** Whose the files are that are handed in. */
  subject?: string;
}

interface PartProps extends FormProps {
  root: Schema;
  /** JSON pointer to the part. */
  path: string;
  name: string;
  required: boolean;
}

export function SchemaForm({ schema, value, onChange, faults, subject }: FormProps) {
  const own = field(schema, schema);
  const whole = faults[""];
  const part = { root: schema, faults, subject, onChange };
  return (
    <div className="schema-form">
      {whole !== undefined && <p className="field-fault">{whole}</p>}
      {own.kind === "object" ? (
        <Properties {...part} schema={own.schema} value={value} path="" />
      ) : (
        <Part {...part} schema={own.schema} value={value} path="" name="value" required />
      )}
    </div>
  );
}

type PropertiesProps = Omit<PartProps, "name" | "required">;

function Properties({ schema, root, value, onChange, path, faults, subject }: PropertiesProps) {
  const current: Json = isObject(value) ? value : {};
  const properties = isObject(schema.properties) ? schema.properties : {};
  const required = requiredOf(schema);
  // What must be there first; else in the schema's order.
  const names = Object.keys(properties).sort((a, b) => Number(required.includes(b)) - Number(required.includes(a)));
  const change = (name: string, next: unknown) => {
    const { [name]: _, ...rest } = current;
    onChange(next === undefined ? rest : { ...rest, [name]: next });
  };
  return names.map((name) => (
    <Part
      key={name}
      schema={isObject(properties[name]) ? properties[name] : {}}
      root={root}
      value={current[name]}
      onChange={(next) => change(name, next)}
      path={`${path}/${pointerPart(name)}`}
      name={name}
      required={required.includes(name)}
      faults={faults}
      subject={subject}
    />
  ));
}

function Part(props: PartProps) {
  const { kind, schema } = field(props.schema, props.root);
  const part = { ...props, schema };
  switch (kind) {
    case "object":
      return <ObjectPart {...part} />;
    case "list":
      return <ListPart {...part} />;
    case "map":
      return <MapPart {...part} />;
    case "boolean":
      return <BooleanPart {...part} />;
    case "choice":
      return <ChoicePart {...part} />;
    case "number":
      return <NumberPart {...part} />;
    case "file":
      return <FilePart {...part} />;
    case "json":
      return <JsonPart {...part} />;
    case "text":
    case "long":
    case "secret":
      return <TextPart {...part} kind={kind} />;
  }
}

/** Label, control, what it means, what is wrong. */
function Labelled({
  part,
  children,
}: {
  part: PartProps;
  children: (ids: { id: string; describedBy: string }) => ReactNode;
}) {
  const id = useId();
  const fault = part.faults[part.path];
  return (
    <div className={fault === undefined ? "field" : "field wrong"}>
      <label htmlFor={id}>
        {label(part.name, part.schema)}
        {part.required ? (
          <span className="required" title="required">
            {" "}
            *
          </span>
        ) : (
          <span className="optional"> optional</span>
        )}
      </label>
      {children({ id, describedBy: `${id}-about` })}
      <Below part={part} id={`${id}-about`} />
    </div>
  );
}

function Below({ part, id }: { part: PartProps; id: string }) {
  const fault = part.faults[part.path];
  const about = typeof part.schema.description === "string" ? part.schema.description : undefined;
  return (
    <div id={id} className="below">
      {fault !== undefined && <p className="field-fault">{fault}</p>}
      {about !== undefined && (
        <p className="hint">
          <Prose text={about} />
        </p>
      )}
    </div>
  );
}

function TextPart({ kind, ...part }: PartProps & { kind: "text" | "long" | "secret" }) {
  const change = (event: ChangeEvent<HTMLInputElement | HTMLTextAreaElement>) =>
    part.onChange(event.target.value === "" ? undefined : event.target.value);
  const max = typeof part.schema.maxLength === "number" ? part.schema.maxLength : undefined;
  return (
    <Labelled part={part}>
      {({ id, describedBy }) => {
        const common = {
          id,
          "aria-describedby": describedBy,
          value: text(part.value),
          onChange: change,
          maxLength: max,
        };
        if (kind === "long") return <textarea {...common} rows={4} />;
        if (kind === "secret") return <input {...common} type="password" autoComplete="off" />;
        return <input {...common} type="text" autoComplete="off" />;
      }}
    </Labelled>
  );
}

function NumberPart(part: PartProps) {
  // Kept as typed until it is a number: `1.` on the way to `1.5`.
  const [typed, setTyped] = useState<string>();
  const change = (event: ChangeEvent<HTMLInputElement>) => {
    const { value } = event.target;
    setTyped(value);
    const number = Number(value);
    part.onChange(value.trim() === "" ? undefined : Number.isNaN(number) ? value : number);
  };
  return (
    <Labelled part={part}>
      {({ id, describedBy }) => (
        <input
          id={id}
          aria-describedby={describedBy}
          type="text"
          inputMode="decimal"
          className="short"
          value={typed ?? text(part.value)}
          onChange={change}
          onBlur={() => setTyped(undefined)}
        />
      )}
    </Labelled>
  );
}

function BooleanPart(part: PartProps) {
  const name = useId();
  const options = part.required ? [true, false] : [true, false, undefined];
  const words = (option: boolean | undefined) => (option === undefined ? "not said" : option ? "Yes" : "No");
  const value = typeof part.value === "boolean" ? part.value : undefined;
  return (
    <fieldset className="field">
      <legend>
        {label(part.name, part.schema)}
        {part.required && <span className="required"> *</span>}
      </legend>
      <div className="choices">
        {options.map((option) => (
          <label key={String(option)}>
            <input type="radio" name={name} checked={value === option} onChange={() => part.onChange(option)} />
            {words(option)}
          </label>
        ))}
      </div>
      <Below part={part} id={`${name}-about`} />
    </fieldset>
  );
}

const RADIOS_MAX = 6;

function ChoicePart(part: PartProps) {
  const name = useId();
  const options = Array.isArray(part.schema.enum) ? (part.schema.enum as unknown[]) : [];
  if (options.length <= RADIOS_MAX && part.required) {
    return (
      <fieldset className="field">
        <legend>
          {label(part.name, part.schema)}
          <span className="required"> *</span>
        </legend>
        <div className="choices">
          {options.map((option) => (
            <label key={text(option)}>
              <input type="radio" name={name} checked={part.value === option} onChange={() => part.onChange(option)} />
              {text(option)}
            </label>
          ))}
        </div>
        <Below part={part} id={`${name}-about`} />
      </fieldset>
    );
  }
  return (
    <Labelled part={part}>
      {({ id, describedBy }) => (
        <select
          id={id}
          aria-describedby={describedBy}
          value={options.indexOf(part.value)}
          onChange={(event) => part.onChange(options[Number(event.target.value)])}
        >
          <option value={-1}>{part.required ? "choose…" : "not said"}</option>
          {options.map((option, index) => (
            <option key={text(option)} value={index}>
              {text(option)}
            </option>
          ))}
        </select>
      )}
    </Labelled>
  );
}

function ObjectPart(part: PartProps) {
  const isThere = isObject(part.value);
  return (
    <fieldset className="group">
      <legend>{label(part.name, part.schema)}</legend>
      <Below part={part} id={`${part.path}-about`} />
      {isThere || part.required ? (
        <>
          <Properties {...part} />
          {!part.required && (
            <Button look="quiet" icon="close" onClick={() => part.onChange(undefined)}>
              Leave out
            </Button>
          )}
        </>
      ) : (
        <Button look="quiet" icon="plus" onClick={() => part.onChange(initial(part.schema, part.root) ?? {})}>
          Fill in
        </Button>
      )}
    </fieldset>
  );
}

function ListPart(part: PartProps) {
  const items: unknown[] = Array.isArray(part.value) ? part.value : [];
  const of = isObject(part.schema.items) ? part.schema.items : {};
  const replace = (index: number, next: unknown) =>
    part.onChange(items.map((item, at) => (at === index ? next : item)));
  return (
    <fieldset className="group">
      <legend>
        {label(part.name, part.schema)} <span className="optional">{items.length}</span>
      </legend>
      <Below part={part} id={`${part.path}-about`} />
      {items.map((item, index) => (
        // Items have no identity of their own; they are only added at the end.
        <div className="list-item" key={index}>
          <Part
            {...part}
            schema={of}
            value={item}
            onChange={(next) => replace(index, next)}
            path={`${part.path}/${index}`}
            name={`${index + 1}`}
            required
          />
          <Button
            look="quiet"
            icon="close"
            aria-label={`remove ${index + 1}`}
            onClick={() => part.onChange(items.filter((_, at) => at !== index))}
          />
        </div>
      ))}
      <Button look="quiet" icon="plus" onClick={() => part.onChange([...items, initial(of, part.root)])}>
        Add
      </Button>
    </fieldset>
  );
}

/** An object whose names are free. */
function MapPart(part: PartProps) {
  const entries = Object.entries(isObject(part.value) ? part.value : {});
  const [name, setName] = useState("");
  const of = isObject(part.schema.additionalProperties) ? part.schema.additionalProperties : {};
  const set = (key: string, next: unknown) => part.onChange({ ...Object.fromEntries(entries), [key]: next ?? "" });
  const add = () => {
    if (name.trim() === "") return;
    set(name.trim(), initial(of, part.root));
    setName("");
  };
  return (
    <fieldset className="group">
      <legend>{label(part.name, part.schema)}</legend>
      <Below part={part} id={`${part.path}-about`} />
      {entries.map(([key, value]) => (
        <div className="list-item" key={key}>
          <Part
            {...part}
            schema={of}
            value={value}
            onChange={(next) => set(key, next)}
            path={`${part.path}/${pointerPart(key)}`}
            name={key}
            required
          />
          <Button
            look="quiet"
            icon="close"
            aria-label={`remove ${key}`}
            onClick={() => part.onChange(Object.fromEntries(entries.filter(([other]) => other !== key)))}
          />
        </div>
      ))}
      <div className="list-item">
        <input
          type="text"
          aria-label={`name of a new entry of ${label(part.name, part.schema)}`}
          placeholder="name"
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <Button look="quiet" icon="plus" onClick={add} disabled={name.trim() === ""}>
          Add
        </Button>
      </div>
    </fieldset>
  );
}

function FilePart(part: PartProps) {
  const [state, setState] = useState<string>();
  const upload = (event: ChangeEvent<HTMLInputElement>) => {
    const file = event.target.files?.[0];
    if (file === undefined) return;
    setState(`storing ${file.name}…`);
    uploadFile(file, part.subject ?? "default").then(
      (stored) => {
        setState(`${stored.filename}, ${stored.content_type}`);
        part.onChange(stored.id);
      },
      (error: unknown) => setState(sentence(error)),
    );
  };
  return (
    <Labelled part={part}>
      {({ id, describedBy }) => (
        <>
          <input id={id} aria-describedby={describedBy} type="file" onChange={upload} />
          <input
            type="text"
            className="mono"
            aria-label={`${label(part.name, part.schema)}: id of a stored file`}
            placeholder="or the id of a stored file: file_…"
            value={text(part.value)}
            onChange={(event) => part.onChange(event.target.value === "" ? undefined : event.target.value)}
          />
          <p className="hint" role="status">
            {state}
          </p>
        </>
      )}
    </Labelled>
  );
}

function JsonPart(part: PartProps) {
  return (
    <Labelled part={part}>
      {({ id, describedBy }) => (
        <JsonInput id={id} describedBy={describedBy} value={part.value} onChange={part.onChange} rows={4} />
      )}
    </Labelled>
  );
}

interface JsonInputProps {
  id: string;
  describedBy?: string;
  value: unknown;
  onChange: (value: unknown) => void;
  rows: number;
}

/** JSON as text. What is no JSON yet stays as typed, and is told. */
export function JsonInput({ id, describedBy, value, onChange, rows }: JsonInputProps) {
  const [typed, setTyped] = useState<string>();
  const shown = typed ?? (value === undefined ? "" : JSON.stringify(value, null, 2));
  const wrong = typed !== undefined && readJson(typed) === undefined && typed.trim() !== "";
  const change = (text: string) => {
    setTyped(text);
    const read = readJson(text);
    onChange(text.trim() === "" ? undefined : read === undefined ? text : read.value);
  };
  return (
    <>
      <textarea
        id={id}
        aria-describedby={describedBy}
        aria-invalid={wrong}
        className="mono"
        rows={rows}
        spellCheck={false}
        value={shown}
        onChange={(event) => change(event.target.value)}
      />
      {wrong && <p className="field-fault">this is no JSON yet</p>}
    </>
  );
}

/** `undefined` for what is no JSON. */
export function readJson(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

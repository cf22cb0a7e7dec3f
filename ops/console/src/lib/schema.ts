// Forms of JSON Schemas: what to show for a schema, what a form begins with, and what is wrong with what was typed.
//
// Validation is interpreted, not compiled: the console's content security policy lets no code be made at run time.
import { type OutputUnit, Validator } from "@cfworker/json-schema";
import { isObject, type Json, pointerPart } from "./json";

export type Schema = Json;

export interface Field {
  kind: "text" | "long" | "secret" | "file" | "number" | "boolean" | "choice" | "object" | "map" | "list" | "json";
  schema: Schema;
  /** `null` may be given. */
  nullable: boolean;
}

const REFERENCES_MAX = 32;
const FILE_PATTERN = "^file_[0-9a-f]{32}$";

/** A schema without references; what stands beside one goes before it. `null` beside one other kind makes that nullable. */
export function resolve(schema: unknown, root: Schema): { schema: Schema; nullable: boolean } {
  let current: Schema = isObject(schema) ? schema : {};
  let nullable = false;
  for (let followed = 0; followed < REFERENCES_MAX; followed++) {
    const next = follow(current, root);
    if (next === undefined) break;
    nullable ||= next.nullable;
    current = next.schema;
  }
  return { schema: current, nullable };
}

function follow(schema: Schema, root: Schema): { schema: Schema; nullable: boolean } | undefined {
  const { $ref, anyOf, oneOf, allOf, ...beside } = schema;
  if (typeof $ref === "string") return { schema: { ...pointed(root, $ref), ...beside }, nullable: false };
  const alternatives = Array.isArray(anyOf) ? anyOf : Array.isArray(oneOf) ? oneOf : undefined;
  if (alternatives !== undefined) {
    const others = alternatives.filter((one) => !(isObject(one) && one.type === "null"));
    const only: unknown = others[0];
    if (others.length === 1 && alternatives.length > 1 && isObject(only)) {
      return { schema: { ...only, ...beside }, nullable: true };
    }
    return undefined;
  }
  if (Array.isArray(allOf) && allOf.length === 1 && isObject(allOf[0])) {
    return { schema: { ...allOf[0], ...beside }, nullable: false };
  }
  if (Array.isArray(schema.type) && schema.type.includes("null")) {
    const types = schema.type.filter((type) => type !== "null");
    return { schema: { ...schema, type: types.length === 1 ? types[0] : types }, nullable: true };
  }
  return undefined;
}

function pointed(root: Schema, reference: string): Schema {
  if (!reference.startsWith("#")) return {};
  const parts = reference.slice(1).split("/").slice(1);
  let place: unknown = root;
  for (const part of parts) {
    const name = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
    place = isObject(place) ? place[name] : undefined;
  }
  return isObject(place) ? place : {};
}

/** What to show for a schema. */
export function field(schema: unknown, root: Schema): Field {
  const resolved = resolve(schema, root);
  return { ...resolved, kind: kindOf(resolved.schema) };
}

function kindOf(schema: Schema): Field["kind"] {
  if (Array.isArray(schema.enum) && schema.enum.every((value) => !isObject(value))) return "choice";
  switch (schema.type) {
    case "string":
      if (schema.pattern === FILE_PATTERN) return "file";
      if (schema.format === "password") return "secret";
      return schema["x-multiline"] === true ? "long" : "text";
    case "number":
    case "integer":
      return "number";
    case "boolean":
      return "boolean";
    case "object":
      if (isObject(schema.properties) && Object.keys(schema.properties).length > 0) return "object";
      return isObject(schema.additionalProperties) ? "map" : "json";
    case "array":
      return "list";
    default:
      return isObject(schema.properties) ? "object" : "json";
  }
}

export function requiredOf(schema: Schema): string[] {
  return Array.isArray(schema.required)
    ? schema.required.filter((name): name is string => typeof name === "string")
    : [];
}

/** What a form begins with: the defaults, and the shape of what must be there. */
export function initial(schema: unknown, root: Schema, depth = 0): unknown {
  const { kind, schema: own } = field(schema, root);
  if (own.const !== undefined) return own.const;
  if (own.default !== undefined && own.default !== null && kind !== "object") return own.default;
  if (kind === "list") return [];
  if (kind === "map") return {};
  if (kind !== "object" || depth > REFERENCES_MAX) return undefined;
  const properties = isObject(own.properties) ? own.properties : {};
  const required = requiredOf(own);
  const value: Json = {};
  for (const [name, property] of Object.entries(properties)) {
    // What need not be there and is an object stays away until somebody adds it.
    if (!required.includes(name) && field(property, root).kind === "object") continue;
    const first = initial(property, root, depth + 1);
    if (first !== undefined) value[name] = first;
  }
  return value;
}

/** As it is sent: what was left empty is not there. */
export function cleaned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(cleaned);
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(([, one]) => one !== undefined && one !== "");
  return Object.fromEntries(kept.map(([name, one]) => [name, cleaned(one)]));
}

/** By JSON pointers to the fields. */
export type Faults = Record<string, string>;

/** What is wrong with a value; the first fault of a place. */
export function faults(schema: Schema, value: unknown): Faults {
  const { errors } = new Validator(schema, "2020-12", false).validate(value);
  const found: Faults = {};
  for (const error of errors) {
    const place = error.instanceLocation.replace(/^#/, "");
    if (error.keyword === "required") {
      const missing = /"([^"]*)"/.exec(error.error)?.[1];
      if (missing !== undefined) found[`${place}/${pointerPart(missing)}`] ??= "this is missing";
    } else if (!isSummary(error)) {
      found[place] ??= sentence(error);
    }
  }
  return found;
}

/** Says of a whole what is said of its parts. */
function isSummary({ keyword }: OutputUnit): boolean {
  return ["properties", "items", "$ref", "additionalProperties", "anyOf", "oneOf", "allOf", "prefixItems"].includes(
    keyword,
  );
}

function sentence({ keyword, error }: OutputUnit): string {
  switch (keyword) {
    case "minLength":
      return "this is too short";
    case "maxLength":
      return "this is too long";
    case "pattern":
      return "this does not have the form that is asked for";
    case "false":
      return "there is no such field";
    default:
      return error.replace(/^(Instance|Value)\b/, "this").replace(/\.$/, "");
  }
}

/** The engine's faults, by the same places: it points into the request, a form into its value. */
export function faultsOf(errors: readonly { field: string; message: string }[], prefix: string): Faults {
  const found: Faults = {};
  for (const { field: place, message } of errors) {
    found[place.startsWith(prefix) ? place.slice(prefix.length) : place] ??= message;
  }
  return found;
}

/** What the engine found, by its place; of one fault alone it says the place beside. */
export function faultsOfProblem({ errors = [], field: place, detail }: Told, prefix = ""): Faults {
  const alone = place == null ? [] : [{ field: place, message: detail }];
  return faultsOf(errors.length > 0 ? errors : alone, prefix);
}

interface Told {
  errors?: readonly { field: string; message: string }[];
  field?: string | null;
  detail: string;
}

/** What to call a field: its title, else its name in words. */
export function label(name: string, schema: Schema): string {
  if (typeof schema.title === "string" && schema.title !== "") return schema.title;
  const words = name.replaceAll(/[_-]+/g, " ").replaceAll(/([a-z])([A-Z])/g, "$1 $2");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

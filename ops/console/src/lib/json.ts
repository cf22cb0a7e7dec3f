// Reading JSON whose shape nobody promised.

export type Json = Record<string, unknown>;

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function object(value: unknown): Json {
  return isObject(value) ? value : {};
}

export function text(value: unknown): string {
  if (typeof value === "string") return value;
  return value === undefined || value === null ? "" : JSON.stringify(value);
}

export function number(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

/** The one key of an externally tagged union, and what is under it. */
export function tagged(value: unknown): [kind: string, fields: Json] {
  if (typeof value === "string") return [value, {}];
  const [entry] = Object.entries(object(value));
  return entry === undefined ? ["?", {}] : [entry[0], object(entry[1])];
}

/** A name as a part of a JSON pointer. */
export function pointerPart(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

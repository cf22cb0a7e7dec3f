// Small words of pages.

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString()} ${count === 1 ? one : many}`;
}

/** `timed_out` → `timed out`. */
export function spaced(word: string): string {
  return word.replaceAll("_", " ");
}

/** The end of an id, which tells it from others; the whole stands beside it. */
export function shortId(id: string): string {
  const cut = id.indexOf("_");
  return cut < 0 || id.length <= cut + 13 ? id : `${id.slice(0, cut + 1)}…${id.slice(-8)}`;
}

export function bytes(size: number): string {
  if (size < 1024) return `${size} B`;
  if (size < 1024 * 1024) return `${(size / 1024).toFixed(1)} kB`;
  return `${(size / 1024 / 1024).toFixed(1)} MB`;
}

/** What stands in a field of a form, without blanks around it. */
export function typed(form: HTMLFormElement, name: string): string {
  const value = new FormData(form).get(name);
  return typeof value === "string" ? value.trim() : "";
}

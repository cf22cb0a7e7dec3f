// What a first visit loads, for each page, compressed: the entry, the page, and all that they import.
import { readFileSync, statSync } from "node:fs";

const FIRST_LOAD_BYTES_MAX = 200 * 1024;

const bundle = new URL("../bundle/app/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL(".vite/manifest.json", bundle), "utf8"));

function collect(name, into) {
  const chunk = manifest[name];
  [chunk.file, ...(chunk.css ?? [])].forEach((file) => into.add(file));
  (chunk.imports ?? []).filter((one) => !into.has(manifest[one].file)).forEach((one) => collect(one, into));
  return into;
}

const entry = Object.keys(manifest).find((name) => manifest[name].isEntry);
const pages = Object.keys(manifest).filter((name) => name.startsWith("src/pages/"));
let failed = false;
for (const page of pages) {
  const files = collect(page, collect(entry, new Set(["index.html"])));
  const bytes = [...files].reduce((sum, file) => sum + statSync(new URL(`${file}.gz`, bundle)).size, 0);
  const over = bytes > FIRST_LOAD_BYTES_MAX;
  failed ||= over;
  console.log(`${over ? "TOO LARGE " : ""}${page}: ${(bytes / 1024).toFixed(1)} kB`);
}
if (pages.length === 0) throw new Error("no page in the manifest");
if (failed) {
  console.error(`a first load has at most ${FIRST_LOAD_BYTES_MAX / 1024} kB`);
  process.exit(1);
}

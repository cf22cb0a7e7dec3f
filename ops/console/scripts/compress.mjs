// Beside every text of the bundle its gzip, so that the engine compresses nothing itself.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const bundle = fileURLToPath(new URL("../bundle/app", import.meta.url));
for (const entry of readdirSync(bundle, { recursive: true, withFileTypes: true })) {
  const hidden = entry.parentPath.includes("/.vite");
  if (entry.isFile() && !hidden && /\.(html|js|css|svg)$/.test(entry.name)) {
    const path = join(entry.parentPath, entry.name);
    writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
  }
}

// Writes src/api/schema.d.ts from openapi.json; with --check only says whether it is stale.
// openapi.json itself is what `valet openapi` prints, and a test of the engine holds it to that.
import { readFileSync, writeFileSync } from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";

const target = new URL("../src/api/schema.d.ts", import.meta.url);
const document = JSON.parse(readFileSync(new URL("../openapi.json", import.meta.url), "utf8"));
const types = `// Written by \`npm run types\` from openapi.json.\n${astToString(await openapiTS(document))}`;

if (!process.argv.includes("--check")) {
  writeFileSync(target, types);
} else if (readFileSync(target, "utf8") !== types) {
  console.error("src/api/schema.d.ts does not fit openapi.json: run `npm run types`");
  process.exit(1);
}

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { build, stop } from "esbuild";
import { answerPlaces, closed, pointerTo, readDocument } from "./document.ts";

const CACHE = "node_modules/.cache/userlock";

/**
 * Compiles the validators of all answers of the OpenAPI document to one module, and returns its path. It is kept until
 * the document or this code changes. ajv itself would cost each test file a second of CPU time.
 */
export async function compileChecks(): Promise<string> {
  const sources = ["gen/openapi.json", ...["compile-checks", "document", "schema-check"].map(besideThis)];
  const hash = createHash("sha256");
  for (const source of sources) hash.update(readFileSync(source));
  const file = resolve(CACHE, `answers-${hash.digest("hex").slice(0, 16)}.mjs`);
  if (!existsSync(file)) await compile(file);
  return file;
}

const besideThis = (name: string) => `test/support/openapi/${name}.ts`;

async function compile(outfile: string): Promise<void> {
  const { default: standalone } = await import("ajv/dist/standalone/index.js");
  const { createAjv, schemaAt } = await import("./schema-check.ts");
  const document = closed(readDocument());
  const ajv = createAjv(document, true);
  const pointers = answerPlaces(document).map((place, index) => {
    ajv.addSchema({ $id: `check${index}`, ...schemaAt(place) });
    return pointerTo(place);
  });
  const names = Object.fromEntries(pointers.map((_, index) => [`check${index}`, `check${index}`]));
  const entries = pointers.map((pointer, index) => `${JSON.stringify(pointer)}: check${index}`);
  const contents = `${standalone.default(ajv, names)}\nexport default { ${entries.join(", ")} };`;
  await build({ stdin: { contents, resolveDir: "." }, outfile, bundle: true, platform: "node", format: "esm" });
  await stop();
}

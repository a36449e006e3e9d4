/**
 * Compiles the package to `dist`, with a copy of what it needs of the generated code: `npm run build` in this folder,
 * and `npm pack` by itself.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const here = import.meta.dirname;
const root = join(here, "../..");
const dist = join(here, "dist");

rmSync(dist, { recursive: true, force: true });
const { status } = spawnSync(join(root, "node_modules/.bin/tsc"), ["--project", here], { stdio: "inherit" });
if (status !== 0) process.exit(status ?? 1);

// The descriptors of userlock name those of protovalidate. One file is enough: its package would bring an interpreter.
const VALIDATE = "gen/buf/validate/validate_pb";
mkdirSync(dirname(join(dist, VALIDATE)), { recursive: true });
for (const extension of [".js", ".d.ts"]) {
  copyFileSync(
    join(root, "node_modules/@bufbuild/protovalidate/dist/esm", VALIDATE + extension),
    join(dist, VALIDATE + extension),
  );
}
for (const file of globSync(join(dist, "**/*.{js,d.ts}"))) {
  const path = relative(dirname(file), join(dist, `${VALIDATE}.js`));
  const text = readFileSync(file, "utf8")
    .replaceAll(`"@bufbuild/protovalidate/${VALIDATE}.js"`, `"${path}"`)
    // The compiler leaves these in declarations.
    .replaceAll(/^((?:import|export) .*"\..*)\.ts";$/gm, '$1.js";');
  writeFileSync(file, text);
}
copyFileSync(join(root, "LICENSE"), join(here, "LICENSE"));

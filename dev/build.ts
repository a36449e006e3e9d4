/**
 * Compiles `src` and `gen` to `dist` for the published package: `npm run build`, and `npm pack` by itself. The layout
 * stays, so that files are found in both forms.
 */
import { spawnSync } from "node:child_process";
import { cpSync, globSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildConsole } from "./build-console.ts";

// Not the console: servers of tests may read it meanwhile.
for (const folder of ["src", "gen"]) rmSync(join("dist", folder), { recursive: true, force: true });
await buildConsole();
const { status } = spawnSync("node_modules/.bin/tsc", ["--project", "tsconfig.build.json"], { stdio: "inherit" });
if (status !== 0) process.exit(status ?? 1);

for (const file of globSync("{src,gen}/**/*.{sql,json,binpb}")) cpSync(file, join("dist", file));
// src/version.ts reads it, and Node reads the type.
const { version, type } = JSON.parse(readFileSync("package.json", "utf8"));
writeFileSync("dist/package.json", `${JSON.stringify({ version, type })}\n`);

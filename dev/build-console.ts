/**
 * Bundles `src/console` to `dist/console`: `npm run build:console`, and by itself at `npm ci` and `npm pack`. Names have
 * a hash of the content, so that browsers may keep the files.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { build } from "esbuild";

const FOLDER = "dist/console";

const page = (script: string, style: string) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>userlock</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath fill='%232f6fde' d='M4 7V5a4 4 0 0 1 8 0v2h1v8H3V7zm2 0h4V5a2 2 0 0 0-4 0z'/%3E%3C/svg%3E">
<link rel="stylesheet" href="/console/${style}">
<script type="module" src="/console/${script}"></script>
</head>
<body><div id="app"></div></body>
</html>
`;

/** Resolves with the paths of the files and their sizes, bytes. */
export async function buildConsole(): Promise<{ path: string; bytes: number }[]> {
  const { outputFiles } = await build({
    entryPoints: { app: "src/console/main.tsx", style: "src/console/style/style.css" },
    entryNames: "[name]-[hash]",
    outdir: FOLDER,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    write: false,
  });
  const nameOf = (ending: string) => basename(outputFiles.find(({ path }) => path.endsWith(ending))?.path as string);
  mkdirSync(FOLDER, { recursive: true });
  for (const { path, contents } of outputFiles) writeFileSync(path, contents);
  writeFileSync(join(FOLDER, "index.html"), page(nameOf(".js"), nameOf(".css")));
  // Last, so that a server that starts meanwhile finds the files of its page.
  const present = ["index.html", nameOf(".js"), nameOf(".css")];
  for (const name of readdirSync(FOLDER)) if (!present.includes(name)) rmSync(join(FOLDER, name));
  return outputFiles.map(({ path, contents }) => ({ path, bytes: contents.byteLength }));
}

if (import.meta.main) await buildConsole();

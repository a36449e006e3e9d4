import { readFile, rename } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { build, stop } from "esbuild";

/** Below the checkout, so that the bundle finds its packages. */
const BUNDLE = "node_modules/.cache/userlock/limited-server.mjs";

/** Modules in the bundle find their worker and their SQL beside their source. */
const besideSource = {
  name: "beside-source",
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      return { loader: "ts", contents: source.replaceAll("import.meta.url", JSON.stringify(pathToFileURL(path).href)) };
    });
  },
};

/** Bundles limited-server.ts. Resolves with the path of the bundle. */
export async function bundleServer() {
  return bundleProgram("test/support/servers/limited-server.ts", BUNDLE);
}

/** Bundles a program, which halves the CPU time of its start. Resolves with the path of the bundle. */
export async function bundleProgram(source, outfile) {
  // Another run may start this bundle meanwhile, or share the file by a hard link.
  const unfinished = outfile.replace(/\.mjs$/, `.${process.pid}.mjs`);
  await build({
    entryPoints: [source],
    outfile: unfinished,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node24",
    external: ["pg", "pino", "prom-client", "@node-rs/*"],
    plugins: [besideSource],
    logLevel: "warning",
  });
  await stop();
  await rename(unfinished, outfile);
  return outfile;
}

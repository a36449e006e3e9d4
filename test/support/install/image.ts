import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type Outcome, runCommand } from "../servers/command.ts";
import { RUN_COMMANDS } from "./dockerfile.ts";
import { sharedPackage } from "./package.ts";

const NODE = "node_modules/node/bin/node";

/** buildah with a storage of its own in a folder, which needs no registry and no kernel modules. */
export function buildahIn(folder: string) {
  const storage = ["--storage-driver", "vfs", "--root", join(folder, "root"), "--runroot", join(folder, "run")];
  return {
    storage,
    run: (args: string[]): Promise<Outcome> => runCommand("buildah", [...storage, ...args], [], { timeoutMs: 120_000 }),
    /** Builds an image from instructions and a folder. The outcome has what buildah prints. */
    build(tag: string, instructions: string, context: string, options: string[] = []): Promise<Outcome> {
      const file = join(folder, `${tag}.containerfile`);
      writeFileSync(file, instructions);
      const fixed = ["--isolation", "chroot", "--format", "docker", "--pull-never", "--layers=false"];
      return this.run(["build", ...fixed, ...options, "-f", file, "-t", tag, context]);
    },
  };
}

/**
 * Makes the folder that the last stage of the Dockerfile copies from. Runs the commands of the build stage, except
 * `npm pack`, which is shared, and `npm ci`: the packages of the lock file are here already.
 */
export async function makeBuildFolder(folder: string): Promise<void> {
  const tarball = await sharedPackage();
  const [work, image] = [join(folder, "src"), join(folder, "image")];
  mkdirSync(work, { recursive: true });
  copyFileSync(tarball, join(work, basename(tarball)));
  copyFileSync("package-lock.json", join(work, "package-lock.json"));
  const target = join(folder, "usr/local/bin/node");
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(NODE, target);
  for (const command of RUN_COMMANDS) {
    if (command.startsWith("npm ci --prefix")) copyPackages(join(image, "app"));
    else if (!command.startsWith("npm ci")) {
      const here = command.replaceAll("/image/", `${image}/`).replace("npm pack --silent &&", "");
      const { status, stderr } = spawnSync("sh", ["-euc", here], { cwd: work, encoding: "utf8", timeout: 60_000 });
      if (status !== 0) throw new Error(`${here} ended with ${status}: ${stderr}`);
    }
  }
}

/** Copies the packages that `npm ci --omit=dev` installs. */
function copyPackages(app: string): void {
  const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8")) as {
    packages: Record<string, { dev?: boolean }>;
  };
  for (const [path, { dev }] of Object.entries(packages)) {
    if (path === "" || dev || !existsSync(path)) continue;
    cpSync(path, join(app, path), { recursive: true, filter: (source) => basename(source) !== "node_modules" });
  }
}

/** Makes a folder with the libraries of this machine that Node and the addons of the packages load. */
export function makeLibraries(folder: string, app: string): void {
  const addons = readdirSync(app, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".node"));
  const { stdout } = spawnSync("ldd", [NODE, ...addons.map((name) => join(app, name))], { encoding: "utf8" });
  const libraries = new Set([...stdout.matchAll(/(?:=> |^\s+)(\/\S+) \(0x/gm)].map(([, path]) => path as string));
  for (const library of libraries) {
    mkdirSync(join(folder, dirname(library)), { recursive: true });
    copyFileSync(library, join(folder, library));
  }
}

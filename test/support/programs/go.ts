import { chmodSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { runCommand } from "../servers/command.ts";
import { cacheFolder, requireCommand } from "./toolchain.ts";

/** What an old Go is replaced by. Newer ones fetch the toolchain that a go.mod names by themselves. */
const NEW_ENOUGH = 21;
const REPLACEMENT = "golang.org/toolchain@v0.0.1-go1.26.8";

/** A Go toolchain. */
export interface Go {
  /** The environment for programs of `go`. Installed tools are on its PATH. */
  environment: NodeJS.ProcessEnv;
  /**
   * Runs `go` in a folder, with more variables in its environment. Resolves with its stdout, and rejects with its output
   * if it fails.
   */
  run(args: readonly string[], folder?: string, more?: NodeJS.ProcessEnv): Promise<string>;
}

/** Finds Go, and installs tools (`package@version`) into the cache. */
export async function findGo(tools: readonly string[] = []): Promise<Go> {
  requireCommand("go", "Go", "golang-go");
  const bin = cacheFolder("go/bin");
  const toolchain = await replacement();
  const environment: NodeJS.ProcessEnv = {
    ...process.env,
    GOTOOLCHAIN: "auto",
    GOFLAGS: "-buildvcs=false",
    GOBIN: bin,
    PATH: [bin, ...(toolchain ? [join(toolchain, "bin")] : []), process.env.PATH].join(delimiter),
  };
  const go = toolchain ? join(toolchain, "bin/go") : "go";
  const run: Go["run"] = (args, folder, more) => runGo(go, args, { env: { ...environment, ...more }, cwd: folder });
  // All at once: they share much of what is compiled.
  await Promise.all(tools.map((tool) => run(["install", tool])));
  return { environment, run };
}

/** The folder of a newer toolchain if that of the machine is too old. It comes as a module, without executable bits. */
async function replacement(): Promise<string | undefined> {
  const version = await runGo("go", ["env", "GOVERSION", "GOOS", "GOARCH"], {});
  const [, minor, os, arch] = /^go1\.(\d+)\S*\s+(\w+)\s+(\w+)/.exec(version) ?? [];
  if (Number(minor) >= NEW_ENOUGH) return undefined;
  const folder = JSON.parse(await runGo("go", ["mod", "download", "-json", `${REPLACEMENT}.${os}-${arch}`], {})).Dir;
  for (const programs of [join(folder, "bin"), join(folder, `pkg/tool/${os}_${arch}`)])
    for (const name of readdirSync(programs)) chmodSync(join(programs, name), 0o555);
  return folder;
}

async function runGo(
  go: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; cwd?: string | undefined },
) {
  const { code, stdout, stderr } = await runCommand(go, args, [], { ...options, timeoutMs: 600_000 });
  if (code !== 0) throw new Error(`go ${args.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}

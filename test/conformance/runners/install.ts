import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const MODULE = "test/conformance";
const RUNNERS = ["connectrpc.com/conformance/cmd/connectconformance", "github.com/summerwind/h2spec/cmd/h2spec"];
/** The messages of the runner's handshake with a server, and the service that it calls. */
const PROTO_FILES = ["server_compat.proto", "service.proto"].map((name) => `connectrpc/conformance/v1/${name}`);
/** The first Go that downloads the toolchain of a newer one. */
const SELF_UPDATING = 21;

/** The suites' programs, and the descriptors of the service that Connect's suite calls. */
export interface Runners {
  connect: string;
  h2spec: string;
  contract: string;
}

/** Go is missing. The message says what to do. */
export class GoMissing extends Error {}

/** The place of the runners that go.mod and go.sum pin. They outlive the checkout, because to build them takes minutes. */
export function runners(): Runners & { folder: string } {
  const hash = createHash("sha256");
  for (const file of ["go.mod", "go.sum"]) hash.update(readFileSync(join(MODULE, file)));
  const folder = join(homedir(), ".cache", "userlock", `conformance-${hash.digest("hex").slice(0, 12)}`);
  const at = (name: string) => join(folder, name);
  return { folder, connect: at("connectconformance"), h2spec: at("h2spec"), contract: at("contract.binpb") };
}

/** Builds the runners unless they are there. Throws GoMissing, or an error with Go's output. */
export function installRunners(log: (line: string) => void): Runners {
  const { folder, ...files } = runners();
  if (existsSync(folder)) return files;
  const go = findGo(log);
  log("Building the runners of the suites with Go. That takes minutes, and happens once for each version.");
  const building = `${folder}.${process.pid}`;
  mkdirSync(building, { recursive: true });
  try {
    go(["install", ...RUNNERS], { GOBIN: building });
    const [protoFolder] = go(["list", "-m", "-f", "{{.Dir}}", "connectrpc.com/conformance"]).split("\n");
    const paths = PROTO_FILES.flatMap((file) => ["--path", join(protoFolder as string, "proto", file)]);
    const contract = join(building, "contract.binpb");
    run("node_modules/.bin/buf", ["build", join(protoFolder as string, "proto"), ...paths, "-o", contract]);
    renameSync(building, folder);
  } finally {
    rmSync(building, { recursive: true, force: true });
  }
  return files;
}

type Go = (args: string[], environment?: Record<string, string>) => string;

/** A Go that builds for the version of go.mod, whatever the machine has. */
function findGo(log: (line: string) => void): Go {
  const { error, stdout } = spawnSync("go", ["version"], { encoding: "utf8" });
  if (error) {
    throw new GoMissing(
      "npm run test:conformance builds the suites with Go, which is missing: install it (Debian: golang-go).",
    );
  }
  const goOf = (command: string, more: Record<string, string>): Go => {
    return (args, environment = {}) => run(command, args, { cwd: MODULE, env: { ...more, ...environment } });
  };
  const [, minor] = /go1\.(\d+)/.exec(stdout) ?? [];
  if (Number(minor) >= SELF_UPDATING) return goOf("go", { GOTOOLCHAIN: "auto" });
  const [, version] = /^go (\S+)$/m.exec(readFileSync(join(MODULE, "go.mod"), "utf8")) as RegExpExecArray;
  log(`This machine has Go 1.${minor}. Downloading Go ${version} as a module.`);
  const toolchain = `golang.org/toolchain@v0.0.1-go${version}.${platform()}`;
  const { Dir: root } = JSON.parse(run("go", ["mod", "download", "-json", toolchain], { cwd: homedir() }));
  makeRunnable(root);
  return goOf(join(root, "bin", "go"), { GOROOT: root, GOTOOLCHAIN: "local" });
}

/** Go's names of this machine's system and processor. */
function platform(): string {
  const processors: Record<string, string> = { x64: "amd64", ia32: "386" };
  return `${process.platform}-${processors[process.arch] ?? process.arch}`;
}

/** Modules have no executable files, so those of a toolchain are marked once it is there. */
function makeRunnable(root: string): void {
  for (const folder of ["bin", "pkg/tool"]) {
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
      if (entry.isFile()) chmodSync(join(entry.parentPath, entry.name), 0o755);
  }
}

/** Runs a command. Returns its output, or throws an error with it. */
function run(
  command: string,
  args: string[],
  { cwd, env = {} }: { cwd?: string; env?: Record<string, string> } = {},
): string {
  const options = { ...(cwd && { cwd }), env: { ...process.env, ...env }, encoding: "utf8" } as const;
  const { status, error, stdout, stderr } = spawnSync(command, args, options);
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed:\n${error ?? stdout + stderr}`);
  return stdout;
}

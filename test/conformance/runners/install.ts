import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { findGo } from "../../support/programs/go.ts";
import { runCommand } from "../../support/servers/command.ts";

/** The Go module that pins the runners. */
const MODULE = "test/conformance";
const PACKAGES = ["connectrpc.com/conformance/cmd/connectconformance", "github.com/summerwind/h2spec/cmd/h2spec"];
/** The messages of the runner's handshake with a server, and the service that it calls. */
const PROTO_FILES = ["server_compat.proto", "service.proto"].map((name) => `connectrpc/conformance/v1/${name}`);

/** The suites' programs, and the descriptors of the service that Connect's suite calls. */
export interface Runners {
  connect: string;
  h2spec: string;
  contract: string;
}

/** The runners of this version. They outlive the checkout, because it takes minutes to build them. */
export function runners(): Runners & { folder: string } {
  const hash = createHash("sha256");
  for (const file of ["go.mod", "go.sum"]) hash.update(readFileSync(join(MODULE, file)));
  const folder = join(homedir(), ".cache", "userlock", `conformance-${hash.digest("hex").slice(0, 12)}`);
  const at = (name: string) => join(folder, name);
  return { folder, connect: at("connectconformance"), h2spec: at("h2spec"), contract: at("contract.binpb") };
}

/** Builds the runners unless they are there. Rejects with one sentence if Go is missing. */
export async function installRunners(): Promise<void> {
  const { folder, contract } = runners();
  if (existsSync(folder)) return;
  const go = await findGo();
  process.stderr.write("Building the runners of the suites. The first time takes minutes.\n");
  const building = `${folder}.${process.pid}`;
  mkdirSync(building, { recursive: true });
  await go.run(["install", ...PACKAGES], MODULE, { GOBIN: building });
  const protoFolder = join(
    (await go.run(["list", "-m", "-f", "{{.Dir}}", "connectrpc.com/conformance"], MODULE)).trim(),
    "proto",
  );
  const paths = PROTO_FILES.flatMap((file) => ["--path", join(protoFolder, file)]);
  const output = contract.replace(folder, building);
  const { code, stderr } = await runCommand("node_modules/.bin/buf", ["build", protoFolder, ...paths, "-o", output]);
  if (code !== 0) throw new Error(`buf build ended with ${code}:\n${stderr}`);
  renameSync(building, folder);
}

/**
 * Generates `gen` from the contract: `npm run generate`. An argument names another folder to put `gen` in.
 *
 * `gen/userlock.binpb` is a FileDescriptorSet for tools such as `grpcurl -protoset`. It has the details of errors too,
 * which no message names as a type.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const folder = process.argv[2] ?? ".";

buf("generate", "--output", folder);
buf(
  ...["build", "--as-file-descriptor-set", "--exclude-source-info"],
  ...["--path", "proto/userlock", "--path", "proto/google/rpc/error_details.proto"],
  ...["--output", join(folder, "gen/userlock.binpb")],
);

function buf(...args: string[]): void {
  const { status } = spawnSync("node_modules/.bin/buf", args, { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

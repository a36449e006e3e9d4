/**
 * Generates `gen` from the contract: `npm run generate`. An argument names another folder to put `gen` in.
 *
 * `gen/userlock.binpb` is a FileDescriptorSet for tools such as `grpcurl -protoset`. It has the details of errors too,
 * which no message names as a type. `gen/openapi.json` describes the REST API.
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

const folder = process.argv[2] ?? ".";
const openApiFile = join(folder, "gen/openapi.json");

buf("generate", "--output", folder);
buf(
  ...["build", "--as-file-descriptor-set", "--exclude-source-info"],
  ...["--path", "proto/userlock", "--path", "proto/google/rpc/error_details.proto"],
  ...["--output", join(folder, "gen/userlock.binpb")],
);

// It reads the generated code, so it is imported only now. Its comments are in the source info.
const { openApiOf } = await import("./openapi/document.ts");
const set = fromBinary(FileDescriptorSetSchema, buf("build", "--path", "proto/userlock", "--output", "-#format=binpb"));
writeFileSync(openApiFile, `${JSON.stringify(openApiOf(set), null, 2)}\n`);

/** Runs buf and returns its output. Ends the program if buf fails. */
function buf(...args: string[]): Buffer {
  const { status, stdout } = spawnSync("node_modules/.bin/buf", args, {
    stdio: ["inherit", "pipe", "inherit"],
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) process.exit(status ?? 1);
  return stdout;
}

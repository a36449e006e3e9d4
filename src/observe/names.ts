import type { DescMethod } from "@bufbuild/protobuf";
import { Code } from "../../gen/google/rpc/code_pb.ts";

/** The names of codes, such as `NOT_FOUND`. */
export const NAMES = new Map(Object.entries(Code).map(([name, code]) => [code as Code, name]));

/** The method of a call that names none of the server's methods. */
export const OTHER = "_OTHER";

/** The name of a method in OpenTelemetry's `rpc.method`, such as `userlock.v3alpha.UserService/LockUser`. */
export function fullNameOf({ parent, name }: DescMethod): string {
  return `${parent.typeName}/${name}`;
}

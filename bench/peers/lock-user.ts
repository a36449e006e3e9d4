import { create, type DescFile, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import type { MethodDefinition } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";
import { file_envoy_service_auth_v3_external_auth } from "../../gen/envoy/service/auth/v3/external_auth_pb.ts";
import { file_userlock_v3alpha_user_service } from "../../gen/userlock/v3alpha/user_service_pb.ts";

/** A peer's LockUser: it does nothing, and answers with the fields of a real answer and the requested id. */
export interface Answer {
  details: { id: string; created: Time; changed: Time; owner: { type: string; id: string } };
}

interface Time {
  seconds: number;
  nanos: number;
}

const OWNER = { type: "OWNER_TYPE_INSTANCE", id: "default" };

export function answerTo(id: string): Answer {
  const milliseconds = Date.now();
  const now = { seconds: Math.floor(milliseconds / 1_000), nanos: (milliseconds % 1_000) * 1_000_000 };
  return { details: { id, created: now, changed: now, owner: OWNER } };
}

/** The method with protobufjs codecs, which are the faster ones here, made from the same contract. */
export function lockUserMethod(): MethodDefinition<{ id: string }, Answer> {
  return serviceOf(file_userlock_v3alpha_user_service, "userlock.v3alpha.UserService").LockUser as MethodDefinition<
    { id: string },
    Answer
  >;
}

/** Envoy's Check with the same codecs. */
export function checkMethod(): MethodDefinition<object, object> {
  return serviceOf(file_envoy_service_auth_v3_external_auth, "envoy.service.auth.v3.Authorization")
    .Check as MethodDefinition<object, object>;
}

function serviceOf(of: DescFile, name: string): Record<string, unknown> {
  const files = new Set<DescFile>();
  (function add(file: DescFile): void {
    for (const dependency of file.dependencies) add(dependency);
    files.add(file);
  })(of);
  const set = create(FileDescriptorSetSchema, { file: [...files].map(({ proto }) => proto) });
  const definition = loadFileDescriptorSetFromBuffer(Buffer.from(toBinary(FileDescriptorSetSchema, set)));
  return definition[name] as Record<string, unknown>;
}

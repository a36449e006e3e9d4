import { create, type DescFile, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import type { MethodDefinition } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";
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
  const files = new Set<DescFile>();
  (function add(file: DescFile): void {
    for (const dependency of file.dependencies) add(dependency);
    files.add(file);
  })(file_userlock_v3alpha_user_service);
  const set = create(FileDescriptorSetSchema, { file: [...files].map(({ proto }) => proto) });
  const definition = loadFileDescriptorSetFromBuffer(Buffer.from(toBinary(FileDescriptorSetSchema, set)));
  const service = definition["userlock.v3alpha.UserService"] as Record<string, unknown>;
  return service.LockUser as MethodDefinition<{ id: string }, Answer>;
}

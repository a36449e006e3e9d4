import { fromBinary } from "@bufbuild/protobuf";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.ts";

/** Reason of the ErrorInfo in the JSON of a Connect error, read without its schema. */
export function reasonOfConnectError(error: { details?: { type: string; value: string }[] }): string | undefined {
  const info = error.details?.find(({ type }) => type === ErrorInfoSchema.typeName);
  return info && fromBinary(ErrorInfoSchema, Buffer.from(info.value, "base64")).reason;
}

/** Reason of the ErrorInfo in the bytes of a `grpc-status-details-bin`. */
export function reasonOfGrpcStatus(bytes: Uint8Array | undefined): string | undefined {
  const info = bytes && fromBinary(StatusSchema, bytes).details.find(({ typeUrl }) => isErrorInfo(typeUrl));
  return info && fromBinary(ErrorInfoSchema, info.value).reason;
}

const isErrorInfo = (typeUrl: string) => typeUrl === `type.googleapis.com/${ErrorInfoSchema.typeName}`;

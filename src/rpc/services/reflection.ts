import {
  type DescEnum,
  type DescExtension,
  type DescFile,
  type DescMessage,
  type DescService,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import type {
  ServerReflectionRequest,
  ServerReflectionResponseSchema,
} from "../../../gen/grpc/reflection/v1/reflection_pb.ts";

type ReflectionResponse = MessageInitShape<typeof ServerReflectionResponseSchema>;

/**
 * Answers one request of gRPC server reflection (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md),
 * version v1 or v1alpha, which are alike. It needs no token, because the contract is public.
 */
export type Reflection = (request: Pick<ServerReflectionRequest, "host" | "messageRequest">) => ReflectionResponse;

type Found = Exclude<ReflectionResponse["messageResponse"], undefined>;

/** `more` has files that no service imports: the error details, which are sent as google.protobuf.Any. */
export function createReflection(services: readonly DescService[], more: readonly DescFile[]): Reflection {
  const files = new Map<string, DescFile>();
  const add = (file: DescFile) => {
    if (files.has(file.proto.name)) return;
    files.set(file.proto.name, file);
    file.dependencies.forEach(add);
  };
  for (const file of [...services.map((service) => service.file), ...more]) add(file);
  const types = [...files.values()].flatMap((file) => [...nestedTypes(file)]);
  const symbols = new Map(types.flatMap((type) => symbolsOf(type).map((symbol) => [symbol, type.file])));
  const extensions = types.filter((type) => type.kind === "extension");

  function find(messageRequest: ServerReflectionRequest["messageRequest"]): Found {
    switch (messageRequest.case) {
      case "listServices":
        return {
          case: "listServicesResponse",
          value: { service: services.map(({ typeName }) => ({ name: typeName })) },
        };
      case "fileByFilename":
        return fileResponse(files.get(messageRequest.value), messageRequest.value);
      case "fileContainingSymbol":
        return fileResponse(symbols.get(messageRequest.value), messageRequest.value);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = messageRequest.value;
        const found = extensions.find(
          ({ extendee, number }) => extendee.typeName === containingType && number === extensionNumber,
        );
        return fileResponse(found?.file, `${containingType} ${extensionNumber}`);
      }
      case "allExtensionNumbersOfType": {
        const typeName = messageRequest.value;
        if (!types.some((type) => type.kind === "message" && type.typeName === typeName)) return notFound(typeName);
        const of = extensions.filter(({ extendee }) => extendee.typeName === typeName);
        return {
          case: "allExtensionNumbersResponse",
          value: { baseTypeName: typeName, extensionNumber: of.map(({ number }) => number) },
        };
      }
      case undefined:
        return { case: "errorResponse", value: { errorCode: Code.INVALID_ARGUMENT, errorMessage: "empty request" } };
    }
  }

  return ({ host, messageRequest }) => ({
    validHost: host,
    originalRequest: { host, messageRequest },
    messageResponse: find(messageRequest),
  });
}

/** The full names of a type and its members. */
function symbolsOf(type: DescMessage | DescEnum | DescExtension | DescService): string[] {
  const { typeName } = type;
  const within = (members: readonly { name: string }[]) => members.map(({ name }) => `${typeName}.${name}`);
  switch (type.kind) {
    case "message":
      return [typeName, ...within(type.fields), ...within(type.oneofs)];
    case "service":
      return [typeName, ...within(type.methods)];
    case "enum": {
      // Enum values are siblings of their enum.
      const scope = typeName.slice(0, typeName.lastIndexOf(".") + 1);
      return [typeName, ...type.values.map(({ name }) => scope + name)];
    }
    case "extension":
      return [typeName];
  }
}

/** Returns one file. Clients request its imports by name. */
function fileResponse(file: DescFile | undefined, what: string): Found {
  if (!file) return notFound(what);
  const fileDescriptorProto = [toBinary(FileDescriptorProtoSchema, file.proto)];
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
}

function notFound(what: string): Found {
  return { case: "errorResponse", value: { errorCode: Code.NOT_FOUND, errorMessage: `${what} does not exist.` } };
}

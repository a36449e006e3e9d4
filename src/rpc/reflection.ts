import { type DescFile, type DescService, type MessageInitShape, type Registry, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code } from "../../gen/google/rpc/code_pb.ts";
import type {
  ServerReflectionRequest,
  ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";

type Answer = MessageInitShape<typeof ServerReflectionResponseSchema>;

/**
 * Answers one request of gRPC server reflection (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md),
 * of version v1 or v1alpha, which are alike. Anybody may ask: the contract is no secret.
 */
export type Reflection = (request: Pick<ServerReflectionRequest, "host" | "messageRequest">) => Answer;

type Found = Exclude<Answer["messageResponse"], undefined>;

export function createReflection(services: readonly DescService[], registry: Registry): Reflection {
  const files = new Map<string, DescFile>();
  const add = (file: DescFile) => {
    if (files.has(file.proto.name)) return;
    files.set(file.proto.name, file);
    file.dependencies.forEach(add);
  };
  for (const { file } of services) add(file);
  // Beyond what the services import: the details of errors, which travel as google.protobuf.Any.
  for (const { file } of registry) add(file);
  const extensions = [...files.values()].flatMap((file) => file.extensions);

  function find({ messageRequest }: Parameters<Reflection>[0]): Found {
    const { value } = messageRequest;
    switch (messageRequest.case) {
      case "listServices":
        return {
          case: "listServicesResponse",
          value: { service: services.map(({ typeName }) => ({ name: typeName })) },
        };
      case "fileByFilename":
        return fileResponse(files.get(messageRequest.value), String(value));
      case "fileContainingSymbol":
        return fileResponse(fileOfSymbol(messageRequest.value), String(value));
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = messageRequest.value;
        const found = extensions.find(
          ({ extendee, number }) => extendee.typeName === containingType && number === extensionNumber,
        );
        return fileResponse(found?.file, `${containingType} ${extensionNumber}`);
      }
      case "allExtensionNumbersOfType": {
        const typeName = messageRequest.value;
        if (!registry.getMessage(typeName)) return notFound(typeName);
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

  function fileOfSymbol(symbol: string): DescFile | undefined {
    const found = registry.get(symbol)?.file;
    if (found) return found;
    // A method, a field or an enum value is found by what it stands in.
    const dot = symbol.lastIndexOf(".");
    const parent = dot < 0 ? undefined : registry.get(symbol.slice(0, dot));
    const name = symbol.slice(dot + 1);
    const members: readonly { name: string }[] =
      parent?.kind === "service"
        ? parent.methods
        : parent?.kind === "message"
          ? parent.fields
          : parent?.kind === "enum"
            ? parent.values
            : [];
    return members.some((member) => member.name === name) ? parent?.file : undefined;
  }

  return ({ host, messageRequest }) => ({
    validHost: host,
    originalRequest: { host, messageRequest },
    messageResponse: find({ host, messageRequest }),
  });
}

/** The one file; a client asks for the files that it imports by their names. */
function fileResponse(file: DescFile | undefined, what: string): Found {
  if (!file) return notFound(what);
  const fileDescriptorProto = [toBinary(FileDescriptorProtoSchema, file.proto)];
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
}

function notFound(what: string): Found {
  return { case: "errorResponse", value: { errorCode: Code.NOT_FOUND, errorMessage: `There is no ${what}.` } };
}

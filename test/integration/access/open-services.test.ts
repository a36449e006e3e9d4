// Proves that health and reflection answer without a token.
import { once } from "node:events";
import { create, createFileRegistry, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { type ClientDuplexStream, credentials, makeGenericClientConstructor, type StatusObject } from "@grpc/grpc-js";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import { Health, HealthCheckResponse_ServingStatus } from "../../../gen/grpc/health/v1/health_pb.ts";
import {
  ServerReflection,
  type ServerReflectionRequestSchema,
  type ServerReflectionResponse,
} from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1alpha } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { policy } from "../../../gen/userlock/v3alpha/options_pb.ts";
import { reasonOfConnectError } from "../../support/clients/error-info.ts";
import { definitionOf, openGrpcClient } from "../../support/clients/grpc-client.ts";
import { exchange } from "../../support/clients/http.ts";
import { type ServerProcess, startServer } from "../../support/servers/server-process.ts";

const SERVICES = [
  "envoy.service.auth.v3.Authorization",
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
  "userlock.v3alpha.AccessService",
  "userlock.v3alpha.AuthzService",
  "userlock.v3alpha.EventService",
  "userlock.v3alpha.SessionService",
  "userlock.v3alpha.SettingsService",
  "userlock.v3alpha.UserService",
  "zitadel.resources.user.v3alpha.ZITADELUsers",
];
const METHOD_OPTIONS = "google.protobuf.MethodOptions";
const NOT_FOUND = 5;
const INVALID_ARGUMENT = 3;

let server: ServerProcess;

beforeAll(async () => {
  server = await startServer();
});

afterAll(async () => {
  await server?.stop();
});

type Question = MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"];

describe.each([
  ["v1", ServerReflection],
  ["v1alpha", ServerReflectionV1alpha],
])("grpc.reflection.%s called by @grpc/grpc-js", (_version, service) => {
  const Client = makeGenericClientConstructor(definitionOf(service), service.name);

  /** Sends requests one after another on one stream, then ends it. The contract is public, so no token is needed. */
  async function ask(...questions: Question[]): Promise<ServerReflectionResponse[]> {
    const client = new Client(new URL(server.url).host, credentials.createInsecure());
    try {
      const open = client.ServerReflectionInfo!.bind(client) as unknown as () => ClientDuplexStream<unknown, unknown>;
      const stream = open();
      const status = once(stream, "status") as Promise<[StatusObject]>;
      const answers: ServerReflectionResponse[] = [];
      for (const messageRequest of questions) {
        const answer = once(stream, "data");
        stream.write(
          create(service.method.serverReflectionInfo.input, { host: "here", messageRequest: messageRequest! }),
        );
        answers.push((await answer)[0]);
      }
      stream.end();
      expect((await status)[0].code).toBe(0);
      return answers;
    } finally {
      client.close();
    }
  }

  async function answerTo(question: Question): Promise<ServerReflectionResponse["messageResponse"]> {
    return (await ask(question))[0]!.messageResponse;
  }

  function fileIn({ case: kind, value }: ServerReflectionResponse["messageResponse"]): FileDescriptorProto {
    if (kind !== "fileDescriptorResponse") throw new Error(`the answer is ${kind}, not a file`);
    expect(value.fileDescriptorProto).toHaveLength(1);
    return fromBinary(FileDescriptorProtoSchema, value.fileDescriptorProto[0]!);
  }

  test("lists every service", async () => {
    const { case: kind, value } = await answerTo({ case: "listServices", value: "" });
    expect(kind).toBe("listServicesResponse");
    expect((value as { service: { name: string }[] }).service.map(({ name }) => name).sort()).toEqual(SERVICES);
  });

  test.each([
    "userlock/v3alpha/user_service.proto",
    "zitadel/resources/user/v3alpha/user_service.proto",
    "google/api/annotations.proto",
    "google/protobuf/descriptor.proto",
  ])("returns the file %s by its name", async (value) => {
    expect(fileIn(await answerTo({ case: "fileByFilename", value })).name).toBe(value);
  });

  test.each([
    ["userlock.v3alpha.UserService", "userlock/v3alpha/user_service.proto"],
    ["userlock.v3alpha.UserService.LockUser", "userlock/v3alpha/user_service.proto"],
    ["zitadel.resources.user.v3alpha.ZITADELUsers.LockUser", "zitadel/resources/user/v3alpha/user_service.proto"],
    ["userlock.v3alpha.LockUserRequest", "userlock/v3alpha/user_service.proto"],
    ["userlock.v3alpha.LockUserRequest.id", "userlock/v3alpha/user_service.proto"],
    ["userlock.v3alpha.State", "userlock/v3alpha/user_service.proto"],
    ["userlock.v3alpha.USER_STATE_LOCKED", "userlock/v3alpha/user_service.proto"],
    ["userlock.v3alpha.policy", "userlock/v3alpha/options.proto"],
    ["google.protobuf.Timestamp", "google/protobuf/timestamp.proto"],
  ])("finds the symbol %s in %s", async (value, file) => {
    expect(fileIn(await answerTo({ case: "fileContainingSymbol", value })).name).toBe(file);
  });

  test.each([
    [http.number, "google/api/annotations.proto"],
    [policy.number, "userlock/v3alpha/options.proto"],
  ])("finds the extension %i of methods in %s", async (extensionNumber, file) => {
    const value = { containingType: METHOD_OPTIONS, extensionNumber };
    expect(fileIn(await answerTo({ case: "fileContainingExtension", value })).name).toBe(file);
  });

  test("returns the extension numbers of a type", async () => {
    const { case: kind, value } = await answerTo({ case: "allExtensionNumbersOfType", value: METHOD_OPTIONS });
    expect(kind).toBe("allExtensionNumbersResponse");
    const { baseTypeName, extensionNumber } = value as { baseTypeName: string; extensionNumber: number[] };
    expect(baseTypeName).toBe(METHOD_OPTIONS);
    expect(extensionNumber).toEqual(expect.arrayContaining([http.number, policy.number]));
  });

  test.each<[Question, number]>([
    [{ case: "fileByFilename", value: "userlock/none.proto" }, NOT_FOUND],
    [{ case: "fileContainingSymbol", value: "userlock.v3alpha.None" }, NOT_FOUND],
    [{ case: "fileContainingSymbol", value: "userlock.v3alpha.UserService.None" }, NOT_FOUND],
    [{ case: "fileContainingSymbol", value: "" }, NOT_FOUND],
    [{ case: "fileContainingExtension", value: { containingType: METHOD_OPTIONS, extensionNumber: 1 } }, NOT_FOUND],
    [{ case: "allExtensionNumbersOfType", value: "userlock.v3alpha.None" }, NOT_FOUND],
    [{ case: undefined }, INVALID_ARGUMENT],
  ])("answers %j with an error", async (question, errorCode) => {
    expect(await answerTo(question)).toMatchObject({ case: "errorResponse", value: { errorCode } });
  });

  test("answers several requests on one stream, including an error, each with its request", async () => {
    const questions: Question[] = [
      { case: "listServices", value: "" },
      { case: "fileContainingSymbol", value: "none" },
      { case: "fileContainingSymbol", value: "userlock.v3alpha.UserService" },
    ];
    const answers = await ask(...questions);
    expect(answers.map(({ validHost }) => validHost)).toEqual(["here", "here", "here"]);
    expect(answers.map(({ originalRequest }) => originalRequest?.messageRequest)).toMatchObject(questions);
    expect(answers.map(({ messageResponse }) => messageResponse.case)).toEqual([
      "listServicesResponse",
      "errorResponse",
      "fileDescriptorResponse",
    ]);
  });

  test("returns everything that a client needs to call every listed method", async () => {
    const file: FileDescriptorProto[] = [];
    /** Adds a file after the files that it imports. */
    const add = async (added: FileDescriptorProto) => {
      if (file.some(({ name }) => name === added.name)) return;
      for (const value of added.dependency) await add(fileIn(await answerTo({ case: "fileByFilename", value })));
      file.push(added);
    };
    for (const value of SERVICES) await add(fileIn(await answerTo({ case: "fileContainingSymbol", value })));
    const registry = createFileRegistry(create(FileDescriptorSetSchema, { file }));
    const methodsOf = (name: string) => registry.getService(name)?.methods.map((method) => method.name);
    expect(SERVICES.filter((name) => (methodsOf(name) ?? []).length === 0)).toEqual([]);
    expect(methodsOf("userlock.v3alpha.UserService")).toContain("LockUser");
    expect(methodsOf("zitadel.resources.user.v3alpha.ZITADELUsers")).toContain("LockUser");
  });
});

describe("grpc.health.v1 called by @grpc/grpc-js", () => {
  let client: ReturnType<typeof openGrpcClient>;

  beforeAll(() => {
    client = openGrpcClient(new URL(server.url).host);
  });

  afterAll(() => client.close());

  test("lists the server as a whole and each of its services", async () => {
    const { code, response } = await client.call(Health.method.list, {});
    const served = SERVICES.filter((name) => !name.startsWith("grpc."));
    expect({ code, names: Object.keys(response?.statuses ?? {}).sort() }).toEqual({
      code: "OK",
      names: ["", ...served],
    });
    for (const { status } of Object.values(response!.statuses)) {
      expect(status).toBe(HealthCheckResponse_ServingStatus.SERVING);
    }
  });

  test("answers SERVICE_NOT_FOUND for an unknown service", async () => {
    const { code, reason } = await client.call(Health.method.check, { service: "userlock.v3alpha.None" });
    expect({ code, reason }).toEqual({ code: "NOT_FOUND", reason: "SERVICE_NOT_FOUND" });
  });
});

describe("grpc.health.v1 in JSON over HTTP/1.1", () => {
  const check = async (service: string) => {
    const path = `/${Health.typeName}/Check`;
    const headers = { "content-type": "application/json" };
    const answer = await exchange(server.url, { path, headers, body: JSON.stringify({ service }) });
    return { status: answer.status, json: JSON.parse(answer.body.toString()) };
  };

  test.each(["", ...SERVICES.filter((name) => !name.startsWith("grpc."))])(
    "answers SERVING to Check of '%s'",
    async (service) => {
      expect(await check(service)).toEqual({ status: 200, json: { status: "SERVING" } });
    },
  );

  test("answers 404 to Check of an unknown service", async () => {
    const { status, json } = await check("userlock.v3alpha.None");
    expect({ status, code: json.code, reason: reasonOfConnectError(json) }).toEqual({
      status: 404,
      code: "not_found",
      reason: "SERVICE_NOT_FOUND",
    });
  });
});

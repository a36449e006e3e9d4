// Proves that buf curl can call a server.
import { State, UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { ZITADELUsers } from "../../gen/zitadel/resources/user/v3alpha/user_service_pb.ts";
import { reasonOfConnectError } from "../support/clients/error-info.ts";
import { runCommand } from "../support/servers/command.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer } from "../support/servers/server-process.ts";
import { usersOf } from "../support/users.ts";

let server: ServerProcess;
let users: ReturnType<typeof usersOf>;

beforeAll(async () => {
  server = await startServer();
  users = usersOf(server.url);
});

afterAll(async () => {
  await server?.stop();
});

interface Protocol {
  protocol: "connect" | "grpc" | "grpcweb";
  http: "1.1" | "2.0";
  contentType: string;
}

const H2C = "--http2-prior-knowledge";
const PROTOCOLS: Protocol[] = [
  { protocol: "connect", http: "1.1", contentType: "application/proto" },
  { protocol: "connect", http: "2.0", contentType: "application/proto" },
  { protocol: "grpc", http: "2.0", contentType: "application/grpc+proto" },
  { protocol: "grpcweb", http: "1.1", contentType: "application/grpc-web+proto" },
  { protocol: "grpcweb", http: "2.0", contentType: "application/grpc-web+proto" },
];
const SCHEMAS = [
  { schema: "the proto files", flags: ["--schema", "proto"] },
  { schema: "reflection v1", flags: ["--reflect-protocol", "grpc-v1"] },
  { schema: "reflection v1alpha", flags: ["--reflect-protocol", "grpc-v1alpha"] },
];

/** Reflection is a bidirectional stream, for which buf uses HTTP/2 in all calls. */
const CASES = [UserService, ZITADELUsers].flatMap(({ typeName }) =>
  SCHEMAS.flatMap((schema) =>
    PROTOCOLS.filter(({ http }) => schema.flags.includes("--schema") || http === "2.0").map((protocol) => ({
      ...schema,
      ...protocol,
      typeName,
    })),
  ),
);

/** Runs `buf curl -v`. Returns its output, and its description of the last HTTP response. */
async function bufCurl(method: string, request: object, flags: string[]) {
  const args = ["curl", "-v", ...flags, "--data", JSON.stringify(request), `${server.url}/${method}`];
  const { code, stdout, stderr } = await runCommand("node_modules/.bin/buf", args);
  const lines = stderr.split("\n");
  const lastOf = (pattern: RegExp) => lines.flatMap((line) => pattern.exec(line)?.[1] ?? []).at(-1);
  const error = lines.filter((line) => !line.startsWith("buf: ")).join("\n");
  return {
    code,
    response: stdout.trim() === "" ? undefined : JSON.parse(stdout),
    error: error.trim() === "" ? undefined : JSON.parse(error),
    http: lastOf(/ < \(#\d+\) HTTP\/(\S+) /),
    contentType: lastOf(/ < \(#\d+\) Content-Type: (\S+)/),
  };
}

const AUTHORIZED = ["--header", `authorization: Bearer ${ADMIN_TOKEN}`];
const flagsOf = ({ protocol, http }: Protocol) => ["--protocol", protocol, ...(http === "2.0" ? [H2C] : [])];

/** buf's exit code: the gRPC code shifted left by three bits. */
const exitCode = (code: number) => code << 3;

test.each(CASES)("buf curl locks a user once by $protocol over HTTP/$http with $schema, on $typeName", async (row) => {
  const { typeName, http, contentType } = row;
  const flags = [...AUTHORIZED, ...row.flags, ...flagsOf(row)];
  const id = await users.add();
  const locked = await bufCurl(`${typeName}/LockUser`, { id }, flags);
  expect(locked).toMatchObject({ code: 0, response: { details: { id } }, http, contentType });
  expect(await users.stateOf(id)).toBe(State.USER_STATE_LOCKED);

  const again = await bufCurl(`${typeName}/LockUser`, { id }, flags);
  expect(again).toMatchObject({ code: exitCode(9), response: undefined, error: { code: "failed_precondition" } });
  expect(reasonOfConnectError(again.error)).toBe("USER_ALREADY_LOCKED");
});

test.each(PROTOCOLS)("buf curl gets UNAUTHENTICATED by $protocol over HTTP/$http without a token", async (protocol) => {
  const flags = ["--schema", "proto", ...flagsOf(protocol)];
  const { code, error } = await bufCurl(`${UserService.typeName}/LockUser`, { id: "u" }, flags);
  expect({ code, error: error.code }).toEqual({ code: exitCode(16), error: "unauthenticated" });
  expect(reasonOfConnectError(error)).toBe("TOKEN_MISSING");
});

test.each(SCHEMAS.slice(1))("buf curl lists every service and its methods by $schema", async ({ flags }) => {
  const list = async (what: string) => {
    const { code, stdout } = await runCommand("node_modules/.bin/buf", ["curl", what, ...flags, H2C, server.url]);
    expect(code).toBe(0);
    return stdout.trim().split("\n");
  };
  expect(await list("--list-services")).toEqual([
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
  ]);
  const methods = [UserService, ZITADELUsers].flatMap((service) =>
    service.methods.map(({ name }) => `${service.typeName}/${name}`),
  );
  expect(await list("--list-methods")).toEqual(expect.arrayContaining(methods));
});

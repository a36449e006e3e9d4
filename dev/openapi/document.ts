import { createFileRegistry, type DescExtension, type DescMethod, type DescService } from "@bufbuild/protobuf";
import type { FileDescriptorSet } from "@bufbuild/protobuf/wkt";
import { createRequestValidator } from "../../src/rpc/validator.ts";
import { createCommentOf } from "./comments.ts";
import { errorSchemas, sharedResponses } from "./errors.ts";
import { clean, type Json, ref, sorted } from "./json.ts";
import { exampleOf, type Operation, operationsOf } from "./operations.ts";
import { authz, introspection, introspectionSchemas, openOperations, serverTag } from "./plain-paths.ts";
import { createRules } from "./rules.ts";
import { createSchemas } from "./schemas.ts";

const PACKAGE = "userlock.v3alpha";
/** The services in the order of docs/api.md. */
const SERVICES = ["UserService", "SessionService", "SettingsService", "AccessService", "EventService", "AuthzService"];
const INTROSPECTION = "IntrospectToken";

const ABOUT = `userlock locks user accounts: from then on the user cannot log in, and their sessions end.

- Fields of requests are in camel case or snake case. Unknown fields and unknown parameters are refused.
- Answers have every plain field, also the empty ones. A message that is not set is left out. Later versions can add
  fields to answers, so clients must ignore fields that they do not know.
- Errors are a google.rpc.Status. The reason is in its ErrorInfo.
- Each answer has an \`x-request-id\`. A request can bring its own.`;

/** The OpenAPI 3.1 document of the REST API, from a descriptor set with source info. */
export function openApiOf(set: FileDescriptorSet): Json {
  const registry = createFileRegistry(set);
  const commentOf = createCommentOf(set);
  const validator = createRequestValidator();
  const services = SERVICES.map((name) => registry.getService(`${PACKAGE}.${name}`) as DescService);
  const methods = services.flatMap((service) => service.methods);
  const shared = [...registry].filter(
    (desc): desc is DescExtension =>
      desc.kind === "extension" && desc.file.name.startsWith("userlock/") && desc.extendee.name === "StringRules",
  );
  const rules = createRules(shared);
  const outputs = methods.map(({ output }) => output);
  const schemas = createSchemas({ commentOf, rules, validator }, outputs, ref("schemas", "Status"));

  const introspected = methods.find(({ name }) => name === INTROSPECTION) as DescMethod;
  const paths = pathsOf([
    ...methods.flatMap((method) => operationsOf(method, { commentOf, schemas, validator })),
    introspection(introspected, exampleOf(introspected, validator), commentOf),
    ...authz,
    ...openOperations,
  ]);
  return {
    openapi: "3.1.0",
    info: {
      title: "userlock",
      version: "v3alpha",
      description: ABOUT,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/", description: "The server that serves this document." }],
    security: [{ bearer: [] }],
    tags: [...services.map((service) => clean({ name: service.name, description: commentOf(service) })), serverTag],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: "A userlock token, a JWT or the token of a session." },
        client: {
          type: "http",
          scheme: "basic",
          description: "The id or the subject of a userlock token, and the token.",
        },
      },
      parameters: {
        IdempotencyKey: {
          name: "Idempotency-Key",
          in: "header",
          description: "Makes it safe to repeat the call: it changes nothing, and gets the first answer.",
          schema: { type: "string", minLength: 1, maxLength: 255, pattern: "^[!-~]([ -~]*[!-~])?$" },
        },
        LastEventId: {
          name: "Last-Event-ID",
          in: "header",
          description: "The cursor of the last received event. It takes precedence over `after`.",
          schema: { type: "string", maxLength: 100 },
        },
      },
      responses: sharedResponses,
      schemas: sorted({ ...schemas.components, ...errorSchemas, ...introspectionSchemas }),
    },
  };
}

/** The operations by path and verb. Throws if two have the same. */
function pathsOf(operations: readonly Operation[]): Json {
  const paths: Record<string, Json> = {};
  for (const { path, verb, operation } of operations) {
    const item = paths[path] ?? {};
    paths[path] = item;
    if (verb in item) throw new Error(`${verb} ${path} is the route of two methods`);
    item[verb] = operation;
  }
  return paths;
}

import {
  type DescField,
  type DescMethod,
  fromJsonString,
  getOption,
  type JsonObject,
  type JsonValue,
  toJson,
} from "@bufbuild/protobuf";
import type { Validator } from "@bufbuild/protovalidate";
import { example, policy } from "../../gen/userlock/v3alpha/options_pb.ts";
import type { Permission } from "../../src/domain/access.ts";
import { checkRequest } from "../../src/rpc/check-request.ts";
import { isChanging } from "../../src/rpc/idempotency.ts";
import { type Route, resolveField, routesOf } from "../../src/transport/rest/routes.ts";
import type { CommentOf } from "./comments.ts";
import { errorResponses } from "./errors.ts";
import { clean, type Json, ref } from "./json.ts";
import type { Schemas } from "./schemas.ts";

interface Parts {
  commentOf: CommentOf;
  schemas: Schemas;
  validator: Validator;
}

/** An operation with its path and its verb in lower case. */
export interface Operation {
  path: string;
  verb: string;
  operation: Json;
}

/** The operations of a method, one for each of its REST routes. */
export function operationsOf(method: DescMethod, parts: Parts): Operation[] {
  const request = exampleOf(method, parts.validator);
  return routesOf(method).map((route, index) => ({
    path: pathOf(route),
    verb: route.verb.toLowerCase(),
    operation: operationOf(route, index === 0 ? method.name : `${method.name}By${nameOf(route.verb)}`, request, parts),
  }));
}

/** The first sentence without the method's name, and the whole comment with the permission. */
export function aboutMethod(method: DescMethod, commentOf: CommentOf): Json {
  const comment = commentOf(method) ?? "";
  const [first = ""] = comment.split(/(?<=\.)\s|:/);
  const summary = first.replace(`${method.name} `, "").replace(/\.$/, "");
  const { permission, proofInRequest, ownSession } = getOption(method, policy);
  const or = proofInRequest ? ", or a proof in the request" : ownSession ? ", or a session of the user's own" : "";
  return {
    summary: summary.charAt(0).toUpperCase() + summary.slice(1),
    description: `${comment}\n\nNeeds the permission \`${permission}\`${or}.`,
    "x-permission": permission,
  };
}

/** The example of a method's request, as the contract has it. Throws if the server would refuse it. */
export function exampleOf(method: DescMethod, validator: Validator): JsonObject {
  const text = getOption(method, example);
  if (text === "") throw new Error(`${method.parent.typeName}.${method.name} has no example`);
  const request = fromJsonString(method.input, text);
  checkRequest(validator, method.input, request);
  return toJson(method.input, request) as JsonObject;
}

function operationOf(route: Route, operationId: string, request: JsonObject, parts: Parts): Json {
  const { method, body } = route;
  const { commentOf, schemas } = parts;
  const { permission, reasons, httpStatus } = getOption(method, policy);
  const inPath = variablesOf(route);
  const isKeyed = isChanging(method, permission as Permission);
  const inQuery = body === "*" ? [] : method.input.fields.filter((field) => !inPath.includes(field) && field !== body);
  const isStream = method.methodKind === "server_streaming";
  return clean({
    operationId,
    tags: [method.parent.name],
    ...aboutMethod(method, commentOf),
    parameters: [
      ...inPath.map((field) => parameter("path", field.jsonName, field, request[field.jsonName], parts)),
      ...inQuery.flatMap((field) => queryParameters(field, "", request[field.jsonName], parts)),
      ...(isKeyed ? [ref("parameters", "IdempotencyKey")] : []),
      ...(isStream ? [ref("parameters", "LastEventId")] : []),
    ],
    requestBody: body && bodyOf(route, inPath, request, schemas),
    responses: {
      [httpStatus || 200]: isStream ? stream(method, schemas) : success(method, schemas),
      ...errorResponses({
        own: reasons,
        isChanging: isKeyed,
        body: body === undefined ? undefined : "JSON",
        fields: method.input.fields.map(({ name }) => name),
      }),
    },
  });
}

function success(method: DescMethod, schemas: Schemas): Json {
  return {
    description: "Success.",
    content: { "application/json": { schema: schemas.ofMessage(method.output, "response") } },
  };
}

/** OpenAPI 3.1 has no word for the events of a stream: the schema is that of the stream's text. */
function stream(method: DescMethod, schemas: Schemas): Json {
  // Of events only the event is sent, because its message has nothing else but the cursor.
  const event = method.output.field.event;
  return {
    description:
      `Server-sent events. Each has the cursor as its \`id\`, if it has one, and as its \`data\` a ${(event?.message ?? method.output).name}. ` +
      "One without `data` has only a new cursor. The event `error` has a Status as its `data`, and is the last one.",
    content: {
      "text/event-stream": {
        schema: {
          type: "string",
          contentMediaType: "application/json",
          contentSchema: event ? schemas.ofField(event, "response") : schemas.ofMessage(method.output, "response"),
        },
      },
    },
  };
}

function bodyOf({ method, body }: Route, inPath: DescField[], request: JsonObject, schemas: Schemas): Json {
  if (body === "*") {
    const fields = method.input.fields.filter((field) => !inPath.includes(field));
    const left = Object.entries(request).filter(([name]) => !inPath.some(({ jsonName }) => jsonName === name));
    return {
      required: fields.some((field) => schemas.isRequired(field)),
      content: {
        "application/json": { schema: schemas.ofRequest(method.input, inPath), example: Object.fromEntries(left) },
      },
    };
  }
  const field = body as DescField;
  return {
    required: schemas.isRequired(field),
    content: { "application/json": { schema: schemas.ofField(field, "request"), example: request[field.jsonName] } },
  };
}

/** The parameters of a field: of each field in it if it is a message, and none for secrets. */
function queryParameters(field: DescField, prefix: string, value: JsonValue | undefined, parts: Parts): Json[] {
  if (field.proto.options?.debugRedact) return [];
  const name = prefix + field.jsonName;
  const { message } = field;
  if (!message || message.typeName.startsWith("google.protobuf.")) {
    return [parameter("query", name, field, value, parts)];
  }
  return message.fields.flatMap((inner) =>
    queryParameters(inner, `${name}.`, (value as JsonObject | undefined)?.[inner.jsonName], parts),
  );
}

function parameter(place: string, name: string, field: DescField, value: JsonValue | undefined, parts: Parts): Json {
  return clean({
    name,
    in: place,
    required: place === "path" || parts.schemas.isRequired(field) || undefined,
    description: parts.commentOf(field),
    schema: parts.schemas.ofField(field, "request"),
    example: value,
  });
}

function pathOf({ method, segments }: Route): string {
  const pieces = segments.map((segment) =>
    "literal" in segment ? segment.literal : `{${resolveField(method.input, segment.fieldPath)?.jsonName}}`,
  );
  return `/${pieces.join("/")}`;
}

function variablesOf({ method, segments }: Route): DescField[] {
  return segments.flatMap((segment) => {
    if ("literal" in segment) return [];
    if (segment.fieldPath.length > 1) throw new Error(`${method.name}: nested fields in a path have no parameter yet`);
    return [resolveField(method.input, segment.fieldPath) as DescField];
  });
}

function nameOf(verb: string): string {
  return verb.charAt(0) + verb.slice(1).toLowerCase();
}

import type { DescMethod, JsonObject } from "@bufbuild/protobuf";
import type { CommentOf } from "./comments.ts";
import { errorResponses, statusSchema } from "./errors.ts";
import { type Json, ref } from "./json.ts";
import { aboutMethod, type Operation } from "./operations.ts";

const text = (description: string, more: Json = {}): Json => ({ type: "string", description, ...more });

/** Token introspection, which is a form and no route of the contract (RFC 7662). */
export function introspection(method: DescMethod, request: JsonObject, commentOf: CommentOf): Operation {
  const { description, ...about } = aboutMethod(method, commentOf);
  const form = {
    type: "object",
    properties: {
      token: text("Any token. A token that is not a session's is not active.", { minLength: 1, format: "password" }),
      token_type_hint: text("Ignored."),
      client_id: text("The id or the subject of the caller's token."),
      client_secret: text("The caller's token, if there is no `Authorization` header.", { format: "password" }),
    },
    required: ["token"],
  };
  return {
    path: "/oauth/v2/introspect",
    verb: "post",
    operation: {
      operationId: method.name,
      tags: [method.parent.name],
      ...about,
      description: `${description} The client's id and secret can also be in the form.`,
      security: [{ bearer: [] }, { client: [] }, {}],
      requestBody: {
        required: true,
        content: { "application/x-www-form-urlencoded": { schema: form, example: request } },
      },
      responses: {
        "200": {
          description: "Whether the token is active.",
          content: { "application/json": { schema: ref("schemas", "Introspection") } },
        },
        ...errorResponses({ own: [], isChanging: false, body: "a form", fields: [], schema: "OAuthError" }),
      },
    },
  };
}

const seconds = (description: string): Json => ({ type: "integer", format: "int64", description });

/** The schemas of introspection, whose numbers are numbers and not text. */
export const introspectionSchemas: Json = {
  Introspection: {
    description: "The answer about a token.",
    oneOf: [ref("schemas", "InactiveToken"), ref("schemas", "ActiveToken")],
  },
  InactiveToken: {
    type: "object",
    description: "A token that is not active, or whose session the caller may not see.",
    properties: { active: { type: "boolean", const: false } },
    required: ["active"],
  },
  ActiveToken: {
    type: "object",
    description: "The token of an open session.",
    properties: {
      active: { type: "boolean", const: true },
      sub: text("The user's id."),
      username: text("One of the user's names."),
      iat: seconds("When the session was opened, seconds since the Unix epoch."),
      exp: seconds("When the session expires, seconds since the Unix epoch."),
      iss: text("The issuer: the instance's id."),
    },
    required: ["active", "sub", "iat", "exp", "iss"],
  },
  OAuthError: {
    ...statusSchema,
    description: "An error with the fields of RFC 6749 beside those of all other errors.",
    properties: {
      ...statusSchema.properties,
      error: text("The error's name in OAuth."),
      error_description: text("What is wrong and what to do."),
    },
    required: [...statusSchema.required, "error", "error_description"],
  },
};

const TAG = "Server";

/** The tag of the paths that need no token. */
export const serverTag: Json = { name: TAG, description: "Paths that need no token." };

function probe(path: string, operationId: string, summary: string, isReadiness: boolean): Operation {
  const plain = (word: string) => ({ "text/plain": { schema: { type: "string", const: `${word}\n` } } });
  return {
    path,
    verb: "get",
    operation: {
      operationId,
      tags: [TAG],
      summary,
      security: [],
      responses: {
        "200": { description: "Yes.", content: plain("ok") },
        ...(isReadiness && { "503": { description: "No.", content: plain("not ready") } }),
        "400": ref("responses", "InvalidRequest"),
      },
    },
  };
}

/** The paths that need no token. */
export const openOperations: readonly Operation[] = [
  probe("/healthz", "Healthz", "Reports whether the process is alive", false),
  probe("/readyz", "Readyz", "Reports whether the server can serve: it can write its store and is not stopping", true),
  {
    path: "/openapi.json",
    verb: "get",
    operation: {
      operationId: "GetOpenApi",
      tags: [TAG],
      summary: "Returns this document",
      security: [],
      parameters: [
        { name: "If-None-Match", in: "header", description: "The ETag of a copy.", schema: { type: "string" } },
      ],
      responses: {
        "200": {
          description: "The document.",
          headers: { ETag: { description: "Changes with the document.", schema: { type: "string" } } },
          content: { "application/json": { schema: { type: "object", additionalProperties: true } } },
        },
        "304": { description: "The copy is current." },
        "400": ref("responses", "InvalidRequest"),
      },
    },
  },
];

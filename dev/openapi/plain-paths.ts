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

const parameter = (name: string, place: "query" | "header", description: string): Json => {
  return { name, in: place, description, schema: { type: "string", minLength: 1 } };
};
const valued = (description: string): Json => ({ description, required: true, schema: { type: "string" } });

const { "504": _inTime, ...authzErrors } = errorResponses({ own: [], isChanging: false, body: undefined, fields: [] });

/** The check of a single request for gateways. It answers each verb alike, because some gateways keep the client's. */
export const authz: readonly Operation[] = ["get", "post", "put", "patch", "delete"].map((verb) => ({
  path: "/authz",
  verb,
  operation: {
    operationId: verb === "get" ? "Authz" : `AuthzBy${verb.charAt(0).toUpperCase()}${verb.slice(1)}`,
    tags: ["AuthzService"],
    summary: "Checks a request for a gateway, which asks by a subrequest",
    description: "The same for each verb but TRACE. A body is ignored. See docs/gateways.md.",
    security: [{ bearer: [] }, {}],
    parameters: [
      parameter("cookie", "query", "The name of a cookie that has the token, if the Authorization header has none."),
      parameter("organization", "query", "The id of the organization that must own the user, or be in a grant."),
      parameter("role", "query", "A role that the token must have."),
      parameter("redirect", "query", "The login page for browsers. Its origin must be in USERLOCK_LOGIN_ORIGINS."),
      parameter("x-userlock-gateway", "header", "The value of USERLOCK_AUTHZ_TOKEN."),
    ],
    responses: {
      "200": {
        description: "Yes. Values are in UTF-8 with the escapes of URLs, and empty if unknown.",
        headers: {
          "x-auth-request-user": valued("The user's id, or another subject of the token."),
          "x-auth-request-preferred-username": valued("The first of the user's names."),
          "x-auth-request-email": valued("The user's e-mail address."),
          "x-userlock-session": valued("The session's id."),
          "x-userlock-expires": valued("When the token or the session expires (RFC 3339)."),
          "remote-user": valued("The same as x-auth-request-user."),
        },
      },
      "302": { description: "To the login page, for a browser without a good token." },
      ...authzErrors,
      "503": {
        description: "No check was made in time. Retry-After says when to ask again.",
        content: { "application/json": { schema: ref("schemas", "Status") } },
      },
    },
  },
}));

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

import { readFileSync } from "node:fs";
import { REASONS, type Reason } from "../../src/domain/errors.ts";
import { ERROR_DOMAIN, refusal, rpcErrorOf } from "../../src/rpc/errors.ts";
import { statusAnswer } from "../../src/transport/http/status.ts";
import { type Json, ref } from "./json.ts";

/** What docs/api.md says about each reason. */
const MEANINGS = new Map(
  [...readFileSync("docs/api.md", "utf8").matchAll(/^\| ([A-Z_]+) \| [A-Z_]+ \| \d+ \| (.*) \|$/gm)].map(
    ([, reason, meaning]) => [reason as string, meaning as string],
  ),
);

/** Reasons that every REST method can answer with. */
const OF_EVERY_METHOD: readonly Reason[] = [
  "INVALID_REQUEST",
  "TOKEN_MISSING",
  "TOKEN_INVALID",
  "TOKEN_EXPIRED",
  "PERMISSION_MISSING",
  "TOO_LARGE",
  "TOO_MANY_REQUESTS",
  "SHUTTING_DOWN",
  "STORE_UNAVAILABLE",
  "KEYS_UNAVAILABLE",
  "DEADLINE_EXCEEDED",
];

/** Reasons of methods that change something. */
const OF_CHANGES: readonly Reason[] = ["IDEMPOTENCY_KEY_REUSED", "CONCURRENT_CHANGE"];

/** Reasons that some fields of a request cause. */
const OF_FIELDS: Record<string, Reason> = { instance: "INSTANCE_NOT_FOUND", organization: "NOT_SERVED" };

/** What the errors of a method depend on. */
interface Subject {
  /** The reasons that the contract names. */
  own: readonly string[];
  isChanging: boolean;
  /** What the body is; undefined without a body. */
  body: string | undefined;
  fields: readonly string[];
  /** The schema of an error, if it is not Status. */
  schema?: string;
}

/** The components for errors that many methods have, by the error's reasons. */
const SHARED: Record<string, readonly Reason[]> = {
  InvalidRequest: ["INVALID_REQUEST"],
  InvalidChange: ["INVALID_REQUEST", "IDEMPOTENCY_KEY_REUSED"],
  Unauthenticated: ["TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED"],
  PermissionMissing: ["PERMISSION_MISSING"],
  UserNotFound: ["USER_NOT_FOUND", "INSTANCE_NOT_FOUND"],
  ConcurrentChange: ["CONCURRENT_CHANGE"],
  TooLarge: ["TOO_LARGE"],
  TooManyRequests: ["TOO_MANY_REQUESTS"],
  NotServed: ["NOT_SERVED"],
  Unavailable: ["SHUTTING_DOWN", "STORE_UNAVAILABLE", "KEYS_UNAVAILABLE"],
  DeadlineExceeded: ["DEADLINE_EXCEEDED"],
};

/** The responses of a method's errors by HTTP status. */
export function errorResponses({ own, isChanging, body, fields, schema }: Subject): Json {
  const reasons: Reason[] = [
    ...OF_EVERY_METHOD,
    ...(isChanging ? OF_CHANGES : []),
    ...fields.flatMap((name) => OF_FIELDS[name] ?? []),
    ...own.map(known),
  ];
  const byStatus = Object.groupBy(Object.keys(REASONS).filter(isIn(reasons)), statusOf);
  const responses: Json = {};
  for (const [status, some = []] of Object.entries(byStatus)) {
    const shared = schema ? undefined : Object.keys(SHARED).find((name) => String(SHARED[name]) === String(some));
    responses[status] = shared ? ref("responses", shared) : response(some, undefined, schema);
  }
  if (body === "JSON") responses["415"] = ref("responses", "NotJson");
  else if (body) responses["415"] = response(["INVALID_REQUEST"], notOfType(body), schema);
  return { ...responses, default: schema ? anyOther(schema) : ref("responses", "Error") };
}

const notOfType = (type: string) => `The body is not ${type}, or it is compressed by something else than gzip.`;

const anyOther = (schema: string): Json => ({
  description: "Any other error. An unexpected one is 500, with a RequestInfo and without an ErrorInfo.",
  content: { "application/json": { schema: ref("schemas", schema) } },
});

/** A response with a google.rpc.Status whose ErrorInfo has one of the reasons. */
function response(reasons: readonly Reason[], description = listOf(reasons), schema = "Status"): Json {
  const info = { properties: { reason: { enum: reasons } }, required: ["reason"] };
  const withReason = { ...ref("schemas", schema), properties: { details: { contains: info } } };
  return { description, content: { "application/json": { schema: withReason } } };
}

const isIn =
  (reasons: readonly Reason[]) =>
  (reason: string): reason is Reason =>
    reasons.includes(reason as Reason);

function known(reason: string): Reason {
  if (!Object.hasOwn(REASONS, reason)) throw new Error(`userlock has no reason ${reason}`);
  return reason as Reason;
}

/** The HTTP status of errors with the reason. */
export function statusOf(reason: Reason): number {
  return statusAnswer(rpcErrorOf(refusal(reason, ""))).status;
}

function listOf(reasons: readonly Reason[]): string {
  return reasons.map((reason) => `- \`${reason}\`: ${MEANINGS.get(reason)}`).join("\n");
}

const text = (description: string): Json => ({ type: "string", description });

function detail(name: string, description: string, properties: Json, required: readonly string[] = []): [string, Json] {
  const type = { const: `type.googleapis.com/google.rpc.${name}` };
  return [
    name,
    { type: "object", description, properties: { "@type": type, ...properties }, required: ["@type", ...required] },
  ];
}

const list = (properties: Json): Json => ({ type: "array", items: { type: "object", properties } });

const DETAILS = [
  detail(
    "ErrorInfo",
    "Why the call failed, for programs.",
    {
      reason: { type: "string", description: "The reason.", enum: Object.keys(REASONS) },
      domain: { type: "string", description: "The system that the reason belongs to.", const: ERROR_DOMAIN },
      metadata: { type: "object", description: "More about the error.", additionalProperties: { type: "string" } },
    },
    ["reason", "domain"],
  ),
  detail("BadRequest", "The invalid fields of the request.", {
    fieldViolations: list({
      field: text("The path of the field, such as `user.contact.email.address`."),
      description: text("What is wrong with it."),
    }),
  }),
  detail("PreconditionFailure", "The state that forbids the call.", {
    violations: list({
      type: text("The reason."),
      subject: text("The user, such as `users/alice`."),
      description: text("What is wrong."),
    }),
  }),
  detail("RetryInfo", "How long to wait before the next try.", { retryDelay: text("A duration, such as `1.5s`.") }),
  detail("RequestInfo", "The request id under which the server's log has the cause.", { requestId: text("The id.") }),
];

/** The schema of google.rpc.Status (google/rpc/status.proto). */
export const statusSchema = {
  type: "object",
  description: "An error.",
  properties: {
    code: { type: "integer", format: "int32", description: "The google.rpc.Code, such as 9 for FAILED_PRECONDITION." },
    message: text("What is wrong and what to do, for people."),
    details: { type: "array", items: { anyOf: DETAILS.map(([name]) => ref("schemas", name)) } },
  },
  required: ["code", "message", "details"],
};

/** The schemas of errors and their details (google/rpc/error_details.proto). */
export const errorSchemas: Json = { Status: statusSchema, ...Object.fromEntries(DETAILS) };

/** The responses that `errorResponses` refers to. */
export const sharedResponses: Json = {
  ...Object.fromEntries(Object.entries(SHARED).map(([name, reasons]) => [name, response(reasons)])),
  NotJson: response(["INVALID_REQUEST"], notOfType("JSON")),
  Error: anyOther("Status"),
};

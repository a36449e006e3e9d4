import { type Document, ERROR, follow, JSON_TYPE, type Place } from "./document.ts";
import type { SchemaCheck } from "./schema-check.ts";

/** An answer over REST. */
export interface RestAnswer {
  verb: string;
  /** The path, without the query. */
  path: string;
  status: number;
  headers: Headers;
  text: string;
}

/** Whether the document describes answers of the path. */
export function isRest(path: string): boolean {
  return /^\/(resources\/v3alpha\/.*|oauth\/v2\/introspect|authz|healthz|readyz|openapi\.json)$/.test(path);
}

/** Verbs whose answers have no content of their own. */
const WITHOUT_CONTENT = ["HEAD", "OPTIONS"];

/** The reason on a path that the server does not know, such as the admin listener's answer to a call. */
const UNKNOWN_PATH = /"reason": ?"METHOD_NOT_FOUND"/;

/**
 * Throws if an answer of userlock is not as the OpenAPI document says, or has a field that the document does not have.
 * Every answer of userlock has an x-request-id.
 */
export function createAnswerCheck(document: Document, problemsOf: SchemaCheck): (answer: RestAnswer) => void {
  const templates = Object.keys(document.paths)
    .map((template) => ({ template, pattern: new RegExp(`^${template.replaceAll(/\{\w+\}/g, "[^/]+")}$`) }))
    .sort((a, b) => a.template.split("{").length - b.template.split("{").length);

  return ({ verb, path, status, headers, text }) => {
    if (WITHOUT_CONTENT.includes(verb)) return;
    const type = headers.get("content-type");
    // Node itself answers what is not valid HTTP. A gRPC request gets gRPC's answer on any path.
    if (!headers.has("x-request-id") || type?.startsWith("application/grpc")) return;
    const fail = (why: string) => new Error(`${verb} ${path} answered ${status}, and ${why}:\n${text.slice(0, 2_000)}`);
    const check = (place: Place) => {
      const problems = problemsOf(place, JSON.parse(text));
      if (problems.length > 0) throw fail(`the schema at ${place.join(" ")} refuses it: ${problems.join("; ")}`);
    };

    const template = templates.find(({ pattern }) => pattern.test(path))?.template ?? "";
    const operation = document.paths[template]?.[verb.toLowerCase()];
    // An unknown path or a wrong verb has no operation.
    if (!operation || (status === 404 && UNKNOWN_PATH.test(text))) return check(ERROR);
    const key = String(status) in operation.responses || status < 500 ? String(status) : "default";
    const described = operation.responses[key];
    if (!described) throw fail(`${operation.operationId} does not have this status`);
    const { part, place } = follow(document, described, ["paths", template, verb.toLowerCase(), "responses", key]);
    if (part.content === undefined && text === "") return;
    const base = type?.split(";")[0] ?? "";
    if (!part.content?.[base]) throw fail(`${operation.operationId} does not have the type ${type}`);
    if (base === JSON_TYPE) check([...place, "content", base, "schema"]);
  };
}

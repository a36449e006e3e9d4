import { type DescField, type DescMessage, type DescMethod, getOption, hasOption } from "@bufbuild/protobuf";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import type { HttpRule } from "../../../gen/google/api/http_pb.ts";
import { fieldNamed } from "../json-problems.ts";

/** A REST route of a method: one parsed HttpRule of google/api/http.proto. */
export interface Route<Method extends DescMethod = DescMethod> {
  method: Method;
  verb: string;
  /** The template of the path. */
  template: string;
  /** The part of the request message in the body: a field, all of it ("*"), or none (undefined). */
  body: DescField | "*" | undefined;
  segments: readonly Segment[];
}

/** A path segment: a literal, or a variable that is bound to a field. */
type Segment = { literal: string } | { fieldPath: readonly string[] };

/** A matched route with its still-encoded path values. */
export interface Match<Method extends DescMethod> {
  route: Route<Method>;
  variables: { fieldPath: readonly string[]; value: string }[];
}

/**
 * Parses the routes of a method from its `google.api.http` option. Path templates may have literals and variables of
 * one segment, `{field.path}` or `{field.path=*}`. Throws on anything else, on an unknown field, and on
 * `response_body`, so that the server does not start with a wrong route.
 */
export function routesOf<Method extends DescMethod>(method: Method): Route<Method>[] {
  if (!hasOption(method, http)) return [];
  const rule = getOption(method, http);
  return [rule, ...rule.additionalBindings].map((binding) => toRoute(method, binding));
}

function toRoute<Method extends DescMethod>(method: Method, rule: HttpRule): Route<Method> {
  const fail = (why: string) => new Error(`google.api.http of ${method.parent.typeName}.${method.name}: ${why}`);
  const { pattern, body, responseBody } = rule;
  if (pattern.case === undefined) throw fail("has no pattern");
  if (responseBody !== "") throw fail("response_body is not supported");
  const [verb, template] =
    pattern.case === "custom" ? [pattern.value.kind, pattern.value.path] : [pattern.case.toUpperCase(), pattern.value];

  const segments = template
    .slice(1)
    .split("/")
    .map((text): Segment => {
      if (/^[A-Za-z0-9._~-]+$/.test(text)) return { literal: text };
      const name = /^\{([a-z0-9_]+(?:\.[a-z0-9_]+)*)(?:=\*)?\}$/.exec(text)?.[1];
      if (name === undefined) throw fail(`cannot read the path segment "${text}"`);
      const fieldPath = name.split(".");
      if (!resolveField(method.input, fieldPath)) throw fail(`the request has no field ${name}`);
      return { fieldPath };
    });
  if (body === "" || body === "*") return { method, verb, template, body: body || undefined, segments };
  const field = method.input.fields.find(({ name }) => name === body);
  if (!field) throw fail(`the request has no field ${body}`);
  return { method, verb, template, body: field, segments };
}

/**
 * Finds the field at the end of a path of proto or JSON names; undefined if it does not exist. The fields before must
 * be singular messages.
 */
export function resolveField(message: DescMessage, path: readonly string[]): DescField | undefined {
  const [name, ...rest] = path;
  const field = fieldNamed(message, name as string);
  if (!field || rest.length === 0) return field;
  return field.fieldKind === "message" ? resolveField(field.message, rest) : undefined;
}

/**
 * Finds the route for a request. A literal takes precedence over a variable for every verb: `/users/_search` is not
 * `/users/{id}`.
 */
export function createRouter<Method extends DescMethod>(routes: readonly Route<Method>[]) {
  const rank = ({ segments }: Route) => segments.map((segment) => ("literal" in segment ? "0" : "1")).join("");
  const ordered = routes.map((route) => ({ route, rank: rank(route) })).sort((a, b) => a.rank.localeCompare(b.rank));
  const byLength = Map.groupBy(ordered, ({ route }) => route.segments.length);
  return {
    /** The match, or the verbs of the path, which are empty for an unknown path. */
    match(verb: string, path: string): Match<Method> | { allowed: string[] } {
      const pieces = path.slice(1).split("/");
      const fitting = (byLength.get(pieces.length) ?? []).filter(({ route }) => fits(route.segments, pieces));
      const matching = fitting.filter(({ rank }) => rank === fitting[0]?.rank).map(({ route }) => route);
      const best = matching.find((route) => route.verb === verb);
      if (best) return { route: best, variables: variablesOf(best.segments, pieces) };
      return { allowed: [...new Set(matching.map((route) => route.verb))] };
    },
  };
}

function fits(segments: readonly Segment[], pieces: readonly string[]): boolean {
  return segments.every((segment, index) => "fieldPath" in segment || segment.literal === pieces[index]);
}

function variablesOf(segments: readonly Segment[], pieces: readonly string[]): Match<DescMethod>["variables"] {
  return segments.flatMap((segment, index) =>
    "fieldPath" in segment ? [{ fieldPath: segment.fieldPath, value: pieces[index] as string }] : [],
  );
}

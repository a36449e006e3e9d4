// Proves that the OpenAPI document is valid, complete and exact.
import { spawnSync } from "node:child_process";
import { REASONS } from "../../../src/domain/errors.ts";
import { SERVICES } from "../../../src/rpc/services/all.ts";
import { routesOf } from "../../../src/transport/rest/routes.ts";
import { MISTAKEN_REST_CALLS } from "../../support/clients/mistaken-calls.ts";
import { createAnswerCheck } from "../../support/openapi/check-answer.ts";
import { closed, follow, JSON_TYPE, type Operation, readDocument } from "../../support/openapi/document.ts";
import { createSchemaCheck } from "../../support/openapi/schema-check.ts";

const document = readDocument();
const problemsOf = createSchemaCheck(document);
const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([verb, operation]) => ({ path, verb, operation, place: ["paths", path, verb] })),
);

test("the document passes the linter", () => {
  const lint = ["test/support/openapi/lint.js", "gen/openapi.json"];
  const { stdout, stderr } = spawnSync(process.execPath, lint, { encoding: "utf8" });
  expect({ stdout, stderr }).toEqual({ stdout: "[]", stderr: "" });
});

test("the operations are the routes of all methods, introspection, and the paths without a token", () => {
  const shapeOf = (path: string) => path.replaceAll(/\{\w+\}/g, "{}");
  const routes = SERVICES.flatMap(({ methods }) => methods.flatMap(routesOf)).map(({ verb, segments }) => {
    const pieces = segments.map((segment) => ("literal" in segment ? segment.literal : "{}"));
    return `${verb} /${pieces.join("/")}`;
  });
  const authz = ["GET", "POST", "PUT", "PATCH", "DELETE"].map((verb) => `${verb} /authz`);
  const others = [...authz, "POST /oauth/v2/introspect", "GET /healthz", "GET /readyz", "GET /openapi.json"];
  const written = operations.map(({ verb, path }) => `${verb.toUpperCase()} ${shapeOf(path)}`);
  expect(written.sort()).toEqual([...routes, ...others].sort());
});

test("every operation id is unique", () => {
  const ids = operations.map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
});

/** The reasons of an operation's errors with this status. */
function reasonsOf({ responses }: Operation, status: string): string[] {
  const { part } = follow(document, responses[status] ?? { description: "" }, []);
  const { schema } = part.content?.[JSON_TYPE] ?? {};
  const { details } = (schema?.properties ?? {}) as { details?: { contains: { properties: { reason: Reasons } } } };
  return details?.contains.properties.reason.enum ?? [];
}
interface Reasons {
  enum: string[];
}

test("every operation with a token names the reasons of its client errors", () => {
  const keyed = operations.filter(({ operation }) => operation.security?.length !== 0);
  expect(keyed.length).toBe(operations.length - 3);
  for (const { operation } of keyed) {
    for (const status of ["400", "401", "403"]) expect(reasonsOf(operation, status)).not.toEqual([]);
  }
});

test("the operations name every reason that REST callers of a known path can get", () => {
  const named = operations.flatMap(({ operation }) =>
    Object.keys(operation.responses).flatMap((status) => reasonsOf(operation, status)),
  );
  const others = Object.keys(REASONS).filter((reason) => !named.includes(reason));
  expect(others).toEqual(["KEY_NOT_FOUND", "METHOD_NOT_FOUND", "SERVICE_NOT_FOUND", "CANCELLED", "ENCODING_MISSING"]);
});

test("every example of a parameter and a body is valid by its schema", () => {
  let examples = 0;
  for (const { operation, place } of operations) {
    for (const [index, parameter] of (operation.parameters ?? []).entries()) {
      if ("$ref" in parameter || parameter.example === undefined) continue;
      examples++;
      const at = [...place, "parameters", String(index), "schema"];
      expect({ at, problems: problemsOf(at, parameter.example) }).toEqual({ at, problems: [] });
    }
    for (const [type, { example }] of Object.entries(operation.requestBody?.content ?? {})) {
      examples++;
      const at = [...place, "requestBody", "content", type, "schema"];
      expect({ at, problems: problemsOf(at, example) }).toEqual({ at, problems: [] });
    }
  }
  expect(examples).toBeGreaterThan(40);
});

test("the schemas of bodies refuse what the server refuses", () => {
  const passed = MISTAKEN_REST_CALLS.flatMap(([what, call, body]) => {
    const [, verb = "", target = ""] = /^(\w+) (\S+)$/.exec(call) ?? [];
    const path = `/resources/v3alpha${target.split("?")[0]}`;
    const found = operations.find((one) => one.verb === verb.toLowerCase() && like(one.path).test(path));
    if (!found?.operation.requestBody || body === undefined || !isJson(body) || target.includes("?")) return [];
    const at = [...found.place, "requestBody", "content", JSON_TYPE, "schema"];
    return [{ what, isRefused: problemsOf(at, JSON.parse(body)).length > 0 }];
  });
  expect(passed.length).toBeGreaterThan(30);
  // JSON Schema compares no times and no durations, and has no rule of several fields as the contract writes them.
  expect(passed.filter(({ isRefused }) => !isRefused).map(({ what }) => what)).toEqual([
    "a duration that is not positive",
    "a filter without a condition",
    "an end in the past",
    "a window of nothing",
  ]);
});

const like = (path: string) => new RegExp(`^${path.replaceAll(/\{\w+\}/g, "(?!_)[^/]+")}$`);

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe("the check of an answer refuses", () => {
  const check = createAnswerCheck(document, createSchemaCheck(closed(document)));
  const path = "/resources/v3alpha/users/alice/_lock";
  const locked = { details: { id: "alice", created: "2030-01-31T12:00:00Z" } };
  const failed = (reason: string) => ({
    code: 9,
    message: "x",
    details: [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason, domain: "userlock" }],
  });
  const answer = (status: number, value: unknown, type = JSON_TYPE) => {
    const headers = new Headers({ "content-type": type, "x-request-id": "1" });
    check({ verb: "POST", path, status, headers, text: JSON.stringify(value) });
  };

  test("nothing that the document describes", () => {
    answer(200, locked);
    answer(400, failed("USER_ALREADY_LOCKED"));
  });

  test.each<[what: string, status: number, value: unknown]>([
    ["a field that the document does not have", 200, { ...locked, state: "USER_STATE_LOCKED" }],
    ["a nested field that the document does not have", 200, { details: { id: "alice", sequence: "1" } }],
    ["a missing plain field", 200, { details: {} }],
    ["a time that is none", 200, { details: { id: "alice", created: "yesterday" } }],
    ["a reason of another method", 400, failed("USER_NOT_LOCKED")],
    ["a reason under another status", 404, failed("USER_ALREADY_LOCKED")],
    ["an error without details", 400, { code: 9, message: "x" }],
    ["a status that the operation does not have", 418, failed("USER_ALREADY_LOCKED")],
  ])("%s", (_what, status, value) => {
    expect(() => answer(status, value)).toThrow(`POST ${path} answered ${status}`);
  });

  test("another type", () => {
    expect(() => answer(200, locked, "text/html")).toThrow("does not have the type text/html");
  });
});

// Proves that the path, query and body of a REST request bind to the fields of its method.
import { execFileSync } from "node:child_process";
import {
  createFileRegistry,
  type DescMethod,
  fromBinary,
  type JsonObject,
  type JsonValue,
  toJson,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { DomainError } from "../../../src/domain/errors.ts";
import { bindRequest } from "../../../src/transport/rest/bind.ts";
import { createRouter, routesOf } from "../../../src/transport/rest/routes.ts";

const image = execFileSync("node_modules/.bin/buf", [
  "build",
  ".",
  "--config",
  JSON.stringify({ version: "v2", modules: [{ path: "proto" }, { path: "test/support" }] }),
  "-o",
  "-#format=binpb",
]);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, image));
const service = registry.getService("test.Transcoding")!;
const methodOf = (name: string) => service.methods.find((method) => method.name === name) as DescMethod;
const router = createRouter(routesOf(methodOf("Bind")));

/** The bound request as JSON. */
function bind(verb: string, target: string, body?: JsonValue): JsonObject {
  const url = new URL(target, "http://localhost");
  const match = router.match(verb, url.pathname);
  if ("allowed" in match) throw new Error(`no route: ${verb} ${target}`);
  const bytes = Buffer.from(body === undefined ? "" : JSON.stringify(body));
  return toJson(match.route.method.input, bindRequest(match, url.searchParams, bytes), { registry }) as JsonObject;
}

test.each<[query: string, bound: JsonObject]>([
  ["truth=true", { truth: true }],
  ["truth=false", {}],
  ["small=-7", { small: -7 }],
  ["large=18446744073709551615", { large: "18446744073709551615" }],
  ["real=1.5e3", { real: 1500 }],
  ["real=NaN", { real: "NaN" }],
  ["raw=%2B%2F%2B%2F", { raw: "+/+/" }],
  ["raw=-_-_", { raw: "+/+/" }],
  ["raw=AA", { raw: "AA==" }],
  ["color=COLOR_RED", { color: "COLOR_RED" }],
  ["color=1", { color: "COLOR_RED" }],
  ["color=99", { color: 99 }],
  ["at=2026-01-02T03:04:05.678901Z", { at: "2026-01-02T03:04:05.678901Z" }],
  ["during=1.5s", { during: "1.500s" }],
  ["mask=text,inner.text", { mask: "text,inner.text" }],
  ["maybeTruth=false", { maybeTruth: false }],
  ["maybe_truth=true", { maybeTruth: true }],
  ["maybeLarge=9007199254740993", { maybeLarge: "9007199254740993" }],
  ["texts=a&texts=b", { texts: ["a", "b"] }],
  ["texts=a", { texts: ["a"] }],
  ["colors=COLOR_RED&colors=0", { colors: ["COLOR_RED", "COLOR_UNSPECIFIED"] }],
  [
    "times=2026-01-02T03:04:05Z&times=1970-01-01T00:00:00Z",
    { times: ["2026-01-02T03:04:05Z", "1970-01-01T00:00:00Z"] },
  ],
  [
    "inner.everything.inner.everything.small=1",
    { inner: { text: "i", everything: { inner: { everything: { small: 1 } } } } },
  ],
  ["thisOne=x", { thisOne: "x" }],
])("REST binds the query %s", (query, bound) => {
  expect(bind("GET", `/v1/t/in/i?${query}`)).toEqual({ text: "t", inner: { text: "i" }, ...bound });
});

test.each<[verb: string, target: string, body: JsonValue | undefined, bound: JsonObject]>([
  ["POST", "/v1/t", { text: "i" }, { text: "t", inner: { text: "i" } }],
  ["POST", "/v1/t?small=1", { text: "i" }, { text: "t", small: 1, inner: { text: "i" } }],
  ["POST", "/v1/t", undefined, { text: "t" }],
  ["PUT", "/v1/t", { small: 1, maybe_truth: true }, { text: "t", small: 1, maybeTruth: true }],
  ["PUT", "/v1/t?small=1", { inner: { text: "i" } }, { text: "t", small: 1, inner: { text: "i" } }],
  [
    "PUT",
    "/v1/t?inner.everything.small=1",
    { inner: { text: "i" } },
    { text: "t", inner: { text: "i", everything: { small: 1 } } },
  ],
  ["PUT", "/v1/a%2Fb%20c", undefined, { text: "a/b c" }],
])("REST binds %s %s with the body %j", (verb, target, body, bound) => {
  expect(bind(verb, target, body)).toEqual(bound);
});

test.each<[verb: string, target: string, body: JsonValue | undefined]>([
  ["GET", "/v1/t/in/i?nothing=1", undefined],
  ["GET", "/v1/t/in/i?inner.nothing=1", undefined],
  ["GET", "/v1/t/in/i?texts.x=1", undefined],
  ["GET", "/v1/t/in/i?inner=x", undefined],
  ["GET", "/v1/t/in/i?inners=x", undefined],
  ["GET", "/v1/t/in/i?pairs=x", undefined],
  ["GET", "/v1/t/in/i?pairs.a=x", undefined],
  ["GET", "/v1/t/in/i?at.seconds=1&at=2026-01-02T03:04:05Z", undefined],
  ["GET", "/v1/t/in/i?small=1&small=2", undefined],
  ["GET", "/v1/t/in/i?small=2147483648", undefined],
  ["GET", "/v1/t/in/i?large=-1", undefined],
  ["GET", "/v1/t/in/i?truth=1", undefined],
  ["GET", "/v1/t/in/i?color=BLUE", undefined],
  ["GET", "/v1/t/in/i?at=yesterday", undefined],
  ["GET", "/v1/t/in/i?raw=*", undefined],
  ["GET", "/v1/t/in/i?thisOne=x&thatOne=1", undefined],
  ["GET", "/v1/t/in/i?text=other", undefined],
  ["GET", "/v1/t/in/i", {}],
  ["POST", "/v1/t?inner.text=x", {}],
  ["PUT", "/v1/t", { text: "other" }],
  ["PUT", "/v1/t?maybeTruth=true", { maybe_truth: false }],
  ["PUT", "/v1/t", []],
  ["PUT", "/v1/%E0%A4%A", undefined],
])("REST refuses to bind %s %s with the body %j", (verb, target, body) => {
  expect.assertions(1);
  try {
    bind(verb, target, body);
  } catch (error) {
    expect(error).toMatchObject({ reason: "INVALID_REQUEST" });
  }
});

test("REST refuses to bind a body that is not UTF-8", () => {
  const match = router.match("PUT", "/v1/t");
  if ("allowed" in match) throw new Error("no route");
  expect(() => bindRequest(match, new URLSearchParams(), Buffer.from([0x7b, 0xff, 0x7d]))).toThrow(DomainError);
});

test.each(["UnknownField", "UnknownBody", "Wildcards", "ResponseBody"])(
  "a REST rule that cannot be served stops the start: %s",
  (name) => {
    expect(() => routesOf(methodOf(name))).toThrow("google.api.http of test.Transcoding");
  },
);

test("a method without a REST rule has no route", () => {
  const health = registry.getService("grpc.health.v1.Health")?.methods[0] as DescMethod;
  expect(routesOf(health)).toEqual([]);
});

test("a path knows its verbs, and a literal segment has priority over a variable", () => {
  expect(router.match("DELETE", "/v1/t")).toEqual({ allowed: ["POST", "PUT"] });
  expect(router.match("GET", "/v2")).toEqual({ allowed: [] });
});

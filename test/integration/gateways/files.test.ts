// Proves that the files of deploy/gateways name what userlock answers. Traefik and Envoy do not run in the tests: their
// files are checked against what /authz and Check need, and Envoy's against its published protos.
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { LIMITS } from "../../../src/transport/limits.ts";
import { rows } from "../../support/docs.ts";
import { envoyMistakes } from "../../support/gateways/envoy-schema.ts";
import { IDENTITY_HEADERS } from "../../support/gateways/identity-headers.ts";

const read = (path: string) => readFileSync(`deploy/gateways/${path}`, "utf8");
const envoy = parse(read("envoy/envoy.yaml"));
const traefik = parse(read("traefik/dynamic.yaml"));
const manager = envoy.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
const [mutation, extAuthz] = manager.http_filters.map((filter: { typed_config: unknown }) => filter.typed_config);

const PROTOS = [
  "envoy/config/bootstrap/v3/bootstrap.proto",
  "envoy/extensions/filters/http/ext_authz/v3/ext_authz.proto",
  "envoy/extensions/filters/http/header_mutation/v3/header_mutation.proto",
  "envoy/extensions/filters/http/router/v3/router.proto",
  "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
  "envoy/extensions/transport_sockets/tls/v3/tls.proto",
  "envoy/extensions/upstreams/http/v3/http_protocol_options.proto",
];

test("the table of headers in the documentation has those that userlock answers", () => {
  const [, ...written] = rows("The headers that the app gets");
  expect(written.map(([name]) => name)).toEqual(IDENTITY_HEADERS.map((name) => `\`${name}\``));
});

test.each(["nginx/nginx.conf", "caddy/Caddyfile", "haproxy/userlock.lua", "traefik/dynamic.yaml", "envoy/envoy.yaml"])(
  "%s names every header that userlock answers",
  (file) => {
    const text = read(file).toLowerCase();
    expect(IDENTITY_HEADERS.filter((name) => !text.includes(name))).toEqual([]);
  },
);

test("each gateway waits a little longer than userlock takes, and less than a second", () => {
  const waits = [
    /proxy_read_timeout (\d+)ms/.exec(read("nginx/userlock-request.conf"))?.[1],
    /response_header_timeout (\d+)ms/.exec(read("caddy/Caddyfile"))?.[1],
    /timeout server (\d+)ms/.exec(read("haproxy/haproxy.cfg"))?.[1],
    String(Number.parseFloat(extAuthz.grpc_service.timeout) * 1_000),
  ].map(Number);
  expect(waits.filter((ms) => !(ms > LIMITS.authzMs && ms < 1_000))).toEqual([]);
});

test("each gateway ends an idle connection before userlock does", () => {
  const waits = [
    /keepalive_timeout (\d+)s/.exec(read("nginx/nginx.conf"))?.[1],
    /keepalive (\d+)s/.exec(read("caddy/Caddyfile"))?.[1],
    /pool-purge-delay (\d+)s/.exec(read("haproxy/haproxy.cfg"))?.[1],
  ].map(Number);
  expect(waits.filter((seconds) => !(seconds * 1_000 < LIMITS.keepAliveMs))).toEqual([]);
});

test("Envoy's protos have each field and value of its file, and not those of a wrong one", () => {
  expect(envoyMistakes(envoy, "envoy.config.bootstrap.v3.Bootstrap", PROTOS)).toEqual([]);
  const text = read("envoy/envoy.yaml")
    .replace("failure_mode_allow:", "failure_mode_allowed:")
    .replace("action: REJECT_REQUEST", "action: REFUSE");
  const mistakes = envoyMistakes(parse(text), "envoy.config.bootstrap.v3.Bootstrap", PROTOS);
  expect(mistakes.map((mistake) => /([\w]+): /.exec(mistake)?.[1]).sort()).toEqual([
    "failure_mode_allowed",
    "path_with_escaped_slashes_action",
  ]);
});

test("Envoy fails closed, sends no body, and removes what clients forge before it asks", () => {
  expect(extAuthz).toMatchObject({ failure_mode_allow: false, status_on_error: { code: "ServiceUnavailable" } });
  expect(extAuthz).not.toHaveProperty("with_request_body");
  const removed = mutation.mutations.request_mutations.map(({ remove }: { remove: string }) => remove);
  expect(IDENTITY_HEADERS.filter((name) => !removed.includes(name))).toEqual([]);
});

test("Traefik asks /authz as it wants to be asked, and the app gets its headers but not the gateway's token", () => {
  const { middlewares, routers } = traefik.http;
  const { address, ...check } = middlewares["userlock-check"].forwardAuth;
  const { pathname, searchParams } = new URL(address);
  expect([pathname, [...searchParams.keys()]]).toEqual(["/authz", ["cookie", "redirect"]]);
  expect(check.trustForwardHeader).toBe(false);
  expect(check.authResponseHeaders.map((name: string) => name.toLowerCase())).toEqual(IDENTITY_HEADERS);
  expect(check.authRequestHeaders).toEqual(expect.arrayContaining(["Authorization", "Cookie", "X-Userlock-Gateway"]));
  expect(middlewares.userlock.chain.middlewares).toEqual(["userlock-before", "userlock-check", "userlock-after"]);
  expect(middlewares["userlock-after"].headers.customRequestHeaders).toEqual({ "X-Userlock-Gateway": "" });
  const { labels } = parse(read("traefik/compose.yaml")).services.app;
  expect(labels["traefik.http.routers.app.rule"]).toBe(routers.app.rule);
  expect(labels["traefik.http.routers.app.middlewares"]).toBe(`${routers.app.middlewares[0]}@file`);
});

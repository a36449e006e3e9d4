import { hash, timingSafeEqual } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import { AuthorizeRequestSchema, AuthzService } from "../../../gen/userlock/v3alpha/authz_service_pb.ts";
import { OrganizationSchema } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { type RpcError, refusal } from "../../rpc/errors.ts";
import { alike, challengeFor, identityHeaders, tokenOf } from "../../rpc/gateways.ts";
import type { Call, Pipeline } from "../../rpc/pipeline.ts";
import { type Answer, type Exchange, type Fields, headerOf } from "../http/exchange.ts";
import type { RequestPath } from "../http/request-path.ts";
import { HttpRefusal, plainAnswer, statusAnswer, wrongVerb } from "../http/status.ts";
import type { Limits } from "../limits.ts";
import { parseForm } from "../text.ts";

/**
 * The check of a single request, for gateways that ask by subrequest (nginx's `auth_request`, `forward_auth`). The
 * user's own token is the proof. 2xx means yes, 401 and 403 mean no. It ignores the body. Undefined for other paths.
 */
export type AuthzDoor = (exchange: Exchange, path: RequestPath, call: Call) => Promise<Answer> | Answer | undefined;

export interface AuthzSettings {
  /** What gateways must send in `x-userlock-gateway`. Undefined: nothing. */
  gatewayToken: string | undefined;
  /** The origins of login pages to which browsers may be sent. */
  loginOrigins: readonly string[];
}

const PATH = "/authz";
/** What `Allow` lists. All others but TRACE are answered, too. TRACE echoes the request, and its token, on other servers. */
const VERBS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const PARAMETERS = ["cookie", "organization", "role", "redirect"];
const RETRY_AFTER_S = 1;
/** Gateways take only a few KiB of headers in an answer. A longer address, in characters, goes without the wanted one. */
const MAX_LOCATION = 4_000;

type Query = Partial<Record<"cookie" | "organization" | "role" | "redirect", string>>;

export function createAuthzDoor(
  pipeline: Pipeline,
  { authzMs }: Pick<Limits, "authzMs">,
  { gatewayToken, loginOrigins }: AuthzSettings,
): AuthzDoor {
  const expected = gatewayToken === undefined ? undefined : hash("sha256", gatewayToken, "buffer");

  /** Whether the gateway has shown its token. Always false without one in the settings. */
  function isKnown({ headers }: Exchange): boolean {
    if (!expected) return false;
    return timingSafeEqual(expected, hash("sha256", headerOf(headers, "x-userlock-gateway") ?? "", "buffer"));
  }

  /** The address of the login page for a browser that asks for a page. Undefined for other clients. */
  function loginFor({ headers }: Exchange, redirect: string | undefined): string | undefined {
    if (redirect === undefined) return undefined;
    const page = URL.parse(redirect);
    // The origin of "blob:https://host/…" is that of the URL inside.
    if (!page || !isWeb(page) || !loginOrigins.includes(page.origin)) {
      throw refusal("INVALID_REQUEST", "redirect: its origin must be one of the setting USERLOCK_LOGIN_ORIGINS");
    }
    // A browser would log in to the page with them.
    if (page.username !== "" || page.password !== "") {
      throw refusal("INVALID_REQUEST", "redirect: it must have no user name and no password");
    }
    const verb = headerOf(headers, "x-original-method") ?? headerOf(headers, "x-forwarded-method") ?? "GET";
    if (!/^(GET|HEAD)$/.test(verb) || !headerOf(headers, "accept")?.includes("text/html")) return undefined;
    const bare = page.href;
    const wanted = wantedOf(headers);
    if (wanted !== undefined) page.searchParams.set("rd", wanted);
    return page.href.length > MAX_LOCATION ? bare : page.href;
  }

  async function check(exchange: Exchange, query: Query, call: Call): Promise<Answer> {
    const { headers } = exchange;
    const shownBy = { authorization: headers.authorization, cookies: headerOf(headers, "cookie") };
    const token = tokenOf(shownBy, query.cookie);
    const shown = { ...call, authorization: token && `Bearer ${token}`, timeoutMs: authzMs };
    const admitted = await pipeline.admit(AuthzService.method.authorize, shown);
    const { organization, role = "" } = query;
    const property = organization !== undefined && { case: "orgId" as const, value: organization };
    const request = create(AuthorizeRequestSchema, {
      role,
      ...(property && { organization: create(OrganizationSchema, { property }) }),
    });
    return plainAnswer(200, { ...NEVER_STORED, ...identityHeaders(await admitted(request)) }, "");
  }

  async function answer(exchange: Exchange, { query }: RequestPath, call: Call): Promise<Answer> {
    const isKnownGateway = isKnown(exchange);
    let login: string | undefined;
    try {
      if (expected && !isKnownGateway) {
        throw refusal("PERMISSION_MISSING", "The gateway must send USERLOCK_AUTHZ_TOKEN in x-userlock-gateway.");
      }
      const parameters = parametersOf(query);
      login = loginFor(exchange, parameters.redirect);
      return await check(exchange, parameters, call);
    } catch (thrown) {
      const error = pipeline.explain(thrown instanceof HttpRefusal ? thrown.error : thrown, call);
      const more = { ...NEVER_STORED, ...(isKnownGateway && error.reason && { "x-userlock-reason": error.reason }) };
      if (login !== undefined && error.code === Code.UNAUTHENTICATED) {
        return plainAnswer(302, { ...more, location: login }, "");
      }
      return failure(error, more);
    }
  }

  return (exchange, requestPath, call) => {
    if (requestPath.path !== PATH) return undefined;
    if (exchange.verb === "TRACE") return wrongVerb(VERBS);
    // Here, because some checks are refused before the pipeline knows the method.
    if (call.observed) Object.assign(call.observed, { route: PATH, method: AuthzService.method.authorize });
    return answer(exchange, requestPath, call);
  };
}

const NEVER_STORED: Fields = { "cache-control": "no-store" };

function failure(error: RpcError, headers: Fields): Answer {
  switch (error.code) {
    case Code.UNAUTHENTICATED:
      return statusAnswer(alike(error), 401, { ...headers, "www-authenticate": challengeFor(error) });
    case Code.UNAVAILABLE:
    case Code.DEADLINE_EXCEEDED:
      return statusAnswer(error, 503, { ...headers, "retry-after": String(RETRY_AFTER_S) });
    default:
      return statusAnswer(error, undefined, headers);
  }
}

/** Throws INVALID_REQUEST for a parameter that is unknown, repeated or empty: a misspelt one would let too many in. */
function parametersOf(query: string): Query {
  if (query === "") return {};
  const parameters = new Map<string, string>();
  for (const [name, value] of parseForm(query)) {
    if (!PARAMETERS.includes(name)) {
      throw refusal("INVALID_REQUEST", `The query has the unknown parameter "${name}"; use ${PARAMETERS.join(", ")}.`);
    }
    if (parameters.has(name)) throw refusal("INVALID_REQUEST", `The query has "${name}" more than once.`);
    if (value === "") throw refusal("INVALID_REQUEST", `The parameter "${name}" is empty.`);
    parameters.set(name, value);
  }
  return Object.fromEntries(parameters);
}

/** The address that the browser asked the gateway for. Any client can forge it, so it decides nothing. */
function wantedOf(headers: Exchange["headers"]): string | undefined {
  const get = (name: string) => headerOf(headers, name);
  const path = get("x-original-uri") ?? get("x-forwarded-uri");
  const host = get("x-forwarded-host");
  // Without a host, the URL standard would take it from the path.
  const isWhole = host && path?.startsWith("/");
  const joined = isWhole ? `${get("x-forwarded-proto") ?? "https"}://${host}${path}` : "";
  const wanted = URL.parse(get("x-original-url") ?? joined);
  return wanted && isWeb(wanted) ? wanted.href : undefined;
}

function isWeb({ protocol }: URL): boolean {
  return protocol === "https:" || protocol === "http:";
}

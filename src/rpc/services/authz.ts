import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { HeaderValueOption_HeaderAppendAction as Append } from "../../../gen/envoy/config/core/v3/base_pb.ts";
import type { AttributeContext } from "../../../gen/envoy/service/auth/v3/attribute_context_pb.ts";
import type { Authorization, CheckResponseSchema } from "../../../gen/envoy/service/auth/v3/external_auth_pb.ts";
import { StatusCode } from "../../../gen/envoy/type/v3/http_status_pb.ts";
import { AuthorizeResponseSchema, type AuthzService } from "../../../gen/userlock/v3alpha/authz_service_pb.ts";
import { type Bearer, demand } from "../../app/authorize.ts";
import type { Authenticate } from "../../auth/authenticate.ts";
import { may, type Permission, type Principal, reach } from "../../domain/access.ts";
import { DomainError } from "../../domain/errors.ts";
import { fromOrganization, LAST_SECOND, toTimestamp } from "../convert/messages.ts";
import { refusal, rpcErrorOf, statusJson } from "../errors.ts";
import { alike, challengeFor, identityHeaders, tokenOf } from "../gateways.ts";
import type { Implementation } from "../handler.ts";

/** AuthzService. */
export function authzMethods(): Implementation<typeof AuthzService> {
  return {
    async authorize({ organization, role }, bearer) {
      demand(bearer, { organization: fromOrganization(organization), role: role || undefined });
      return toAuthorized(bearer);
    },
  };
}

/**
 * Envoy's external authorization. The caller is the gateway, and the user's token is in the attributes of the request.
 * The context extensions `organization`, `role` and `cookie` are those of /authz. With `reveal` set to `true` the
 * client of a gateway of the whole instance gets the reason of a refusal.
 */
export function envoyMethods({ authenticate }: { authenticate: Authenticate }): Implementation<typeof Authorization> {
  return {
    async check({ attributes }, { principal: gateway, permission }) {
      const { organization, role, cookie, reveal } = extensionsOf(attributes);
      const headers = headersOf(attributes);
      try {
        const token = tokenOf({ authorization: headers.get("authorization"), cookies: headers.get("cookie") }, cookie);
        const bearer = await authenticate(token && `Bearer ${token}`);
        expectInReach(bearer, gateway, permission);
        demand(bearer, { organization, role });
        return admitted(bearer);
      } catch (error) {
        const isRefused = error instanceof DomainError && /^(unauthenticated|permission_denied)$/.test(error.kind);
        if (!isRefused) throw error;
        // The reason would tell an organization's gateway of users out of its reach.
        return refused(error, reveal === "true" && reach(gateway, permission).instance);
      }
    },
  };
}

function toAuthorized({ principal, user }: Bearer) {
  const { subject, session, expires } = principal;
  return {
    userId: subject,
    username: user?.state.usernames[0]?.name ?? "",
    email: user?.state.email?.address ?? "",
    sessionId: session?.id ?? "",
    ...(expires !== undefined && { expires: toTimestamp(Math.min(expires, LAST_SECOND)) }),
    organizationId: user?.owner.type === "org" ? user.owner.id : "",
  };
}

const EXTENSIONS = ["cookie", "organization", "reveal", "role"];

/** Throws INVALID_REQUEST for an extension that is unknown or empty: a misspelt one would let too many in. */
function extensionsOf(attributes: AttributeContext | undefined): Partial<Record<string, string>> {
  const { contextExtensions = {} } = attributes ?? {};
  for (const [name, value] of Object.entries(contextExtensions)) {
    if (!EXTENSIONS.includes(name)) {
      throw refusal("INVALID_REQUEST", `context_extensions has the unknown "${name}"; use ${EXTENSIONS.join(", ")}.`);
    }
    if (value === "") throw refusal("INVALID_REQUEST", `context_extensions: "${name}" is empty.`);
    if (name === "reveal" && !/^(true|false)$/.test(value)) {
      throw refusal("INVALID_REQUEST", `context_extensions: "reveal" is "${value}"; use true or false.`);
    }
  }
  return contextExtensions;
}

/** The request's headers. Envoy sends them in a map, or as a list with `encode_raw_headers`. Names are in lower case. */
function headersOf(attributes: AttributeContext | undefined): Map<string, string> {
  const { headers = {}, headerMap } = attributes?.request?.http ?? {};
  const all = new Map(Object.entries(headers));
  for (const { key, value, rawValue } of headerMap?.headers ?? []) {
    const text = value || Buffer.from(rawValue).toString("latin1");
    const before = all.get(key);
    // As Envoy joins the values in the map, and HTTP/2 the parts of a cookie (RFC 9113, section 8.2.3).
    all.set(key, before === undefined ? text : `${before}${key === "cookie" ? "; " : ","}${text}`);
  }
  return all;
}

/** Throws TOKEN_INVALID for a bearer out of the gateway's reach, like introspection. */
function expectInReach({ user }: Bearer, gateway: Principal, permission: Permission): void {
  const isInReach = user ? may(gateway, permission, user.owner) : reach(gateway, permission).instance;
  if (!isInReach) throw new DomainError("TOKEN_INVALID", "The bearer is not visible to the gateway.");
}

type Check = MessageInitShape<typeof CheckResponseSchema>;

function admitted(bearer: Bearer): Check {
  const authorized = toAuthorized(bearer);
  const headers = Object.entries(identityHeaders(create(AuthorizeResponseSchema, authorized)));
  return {
    status: { code: 0 },
    httpResponse: {
      case: "okResponse",
      value: {
        headers: headers.filter(([, value]) => value !== "").map(toHeader),
        // Else the client's own would reach the app.
        headersToRemove: headers.filter(([, value]) => value === "").map(([key]) => key),
      },
    },
    dynamicMetadata: {
      subject: authorized.userId,
      session_id: authorized.sessionId,
      organization: authorized.organizationId,
      ...(bearer.principal.expires !== undefined && { expires: bearer.principal.expires / 1_000_000 }),
    },
  };
}

function refused(cause: DomainError, isRevealed: boolean): Check {
  const exact = rpcErrorOf(cause);
  const error = isRevealed ? exact : alike(exact);
  const isToken = cause.kind === "unauthenticated";
  const headers: [string, string][] = [["content-type", "application/json"]];
  if (isToken) headers.push(["www-authenticate", challengeFor(error)]);
  if (isRevealed && exact.reason) headers.push(["x-userlock-reason", exact.reason]);
  return {
    status: { code: error.code, message: error.message },
    httpResponse: {
      case: "deniedResponse",
      value: {
        status: { code: isToken ? StatusCode.Unauthorized : StatusCode.Forbidden },
        headers: headers.map(toHeader),
        body: `${statusJson(error)}\n`,
      },
    },
  };
}

function toHeader([key, value]: [key: string, value: string]) {
  return { header: { key, value }, appendAction: Append.OVERWRITE_IF_EXISTS_OR_ADD };
}

import { create } from "@bufbuild/protobuf";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import {
  IntrospectTokenRequestSchema,
  type IntrospectTokenResponse,
  SessionService,
} from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { ERROR_DOMAIN, type RpcError, refusal, statusJson } from "../../rpc/errors.ts";
import type { Call, Pipeline } from "../../rpc/pipeline.ts";
import { holderOf, type Shares } from "../../rpc/shares.ts";
import { MAX_MESSAGE_BYTES, type Room, readWhole, roomsOf } from "../http/body.ts";
import { decompress } from "../http/encoding.ts";
import type { Answer, Exchange, Fields } from "../http/exchange.ts";
import { HttpRefusal, oauthText, plainAnswer, statusAnswer, wrongVerb } from "../http/status.ts";
import type { Limits } from "../limits.ts";
import { decodeText, parseForm } from "../text.ts";

/**
 * Token introspection: a form in, JSON out (RFC 7662). The caller's token is a bearer token, or the secret of a client
 * whose id is the token's id or subject (RFC 6749, section 2.3.1).
 */
export type IntrospectionDoor = (exchange: Exchange, path: string, call: Call) => Promise<Answer> | Answer | undefined;

const PATH = "/oauth/v2/introspect";
const FORM = "application/x-www-form-urlencoded";
const REALM = `realm="${ERROR_DOMAIN}"`;
const challenge = (value: string): Fields => ({ "www-authenticate": value });

interface Client {
  id: string;
  secret: string;
}

export function createIntrospectionDoor(
  pipeline: Pipeline,
  { bodyMs }: Pick<Limits, "bodyMs">,
  shares: Shares,
): IntrospectionDoor {
  const rooms = roomsOf(shares);

  async function admit(call: Call, client: Client | undefined) {
    const shown = client ? { ...call, authorization: `Bearer ${client.secret}`, clientId: client.id } : call;
    return pipeline.admit(SessionService.method.introspectToken, shown).catch((error: RpcError) => {
      if (error.code !== Code.UNAUTHENTICATED) throw error;
      if (!shown.authorization) throw new HttpRefusal(401, error, challenge(`Bearer ${REALM}, Basic ${REALM}`));
      if (!client) throw error;
      // The same message for a wrong id and a wrong secret.
      const refused = refusal("TOKEN_INVALID", "The client id or the client secret is wrong.");
      throw new HttpRefusal(401, refused, challenge(`Basic ${REALM}`));
    });
  }

  async function readForm(exchange: Exchange, room: Room): Promise<Map<string, string>> {
    const bytes = await readWhole(exchange, { limit: MAX_MESSAGE_BYTES, timeoutMs: bodyMs, room });
    const form = new Map<string, string>();
    const names = new Set<string>();
    const text = decodeText(await decompress(bytes, exchange, MAX_MESSAGE_BYTES));
    for (const [name, value] of parseForm(text)) {
      // RFC 6749, section 3.2: any repeated parameter is an error; one without a value counts as omitted.
      if (names.has(name)) throw refusal("INVALID_REQUEST", `The form has the parameter "${name}" more than once.`);
      names.add(name);
      if (value !== "") form.set(name, value);
    }
    return form;
  }

  async function answer(exchange: Exchange, call: Call): Promise<Answer> {
    const { authorization } = call;
    const type = exchange.headers["content-type"] ?? "(none)";
    const isForm = type.split(";")[0]?.trim().toLowerCase() === FORM;
    // Without the header, the form may have the client's id and secret.
    const early = authorization || !isForm ? await admit(call, clientInHeader(authorization)) : undefined;
    if (!isForm) {
      const why = `The body must be a form. Send "Content-Type: ${FORM}".`;
      throw new HttpRefusal(415, refusal("INVALID_REQUEST", why), { accept: FORM });
    }
    const room = early ? rooms.ofCaller(early.holder) : rooms.open(holderOf(call.address));
    const form = await readForm(exchange, room);
    const secret = form.get("client_secret");
    if (early && secret !== undefined) {
      throw refusal("INVALID_REQUEST", "Use the Authorization header or client_secret, not both.");
    }
    const named = form.get("client_id");
    if (early && named !== undefined && named !== (clientInHeader(authorization)?.id ?? named)) {
      throw refusal("INVALID_REQUEST", "The client_id differs from that of the Authorization header.");
    }
    const client = secret === undefined ? undefined : { id: form.get("client_id") ?? "", secret };
    const admitted = early ?? (await admit(call, client));
    const response = await admitted(create(IntrospectTokenRequestSchema, { token: form.get("token") ?? "" }));
    return plainAnswer(200, { "content-type": "application/json" }, toJson(response));
  }

  return (exchange, path, call) => {
    if (path !== PATH) return undefined;
    if (exchange.verb !== "POST") return wrongVerb(["POST"]);
    return answer(exchange, call).catch((error) =>
      error instanceof HttpRefusal
        ? failure(pipeline.explain(error.error, call), error.status, error.headers)
        : failure(pipeline.explain(error, call)),
    );
  };
}

/** The client of a Basic Authorization header. A malformed header gives a client without a secret. */
function clientInHeader(authorization = ""): Client | undefined {
  if (!/^Basic\b/i.test(authorization)) return undefined;
  // Node joins two headers into one value, which is not base64.
  const [, base64 = ""] = /^Basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(authorization) ?? [];
  const [, id = "", secret = ""] = /^(.*):(.*)$/s.exec(Buffer.from(base64, "base64").toString()) ?? [];
  try {
    // Both should be form-encoded (RFC 6749, section 2.3.1), but some clients do not encode them. Tokens contain no ":"
    // and no space, so the last ":" separates, and a "+" in the secret is literal.
    return { id: decodeURIComponent(id.replaceAll("+", " ")), secret: decodeURIComponent(secret) };
  } catch {
    return { id: "", secret: "" };
  }
}

/** An error with the fields of RFC 6749, section 5.2, and those of google.rpc.Status. */
function failure(error: RpcError, status?: number, headers: Fields = {}): Answer {
  const answer = statusAnswer(error, status, headers);
  const isBearers = error.code === Code.UNAUTHENTICATED && headers["www-authenticate"] === undefined;
  const name = isBearers ? "invalid_token" : (ERRORS.get(error.code) ?? "invalid_request");
  const fields = { error: name, error_description: oauthText(error.message), ...JSON.parse(statusJson(error)) };
  return plainAnswer(answer.status, answer.headers, `${JSON.stringify(fields)}\n`);
}

/** The names of codes in RFC 6749 and RFC 6750. Other codes are `invalid_request`. */
const ERRORS = new Map<Code, string>([
  [Code.UNAUTHENTICATED, "invalid_client"],
  [Code.PERMISSION_DENIED, "insufficient_scope"],
  [Code.UNAVAILABLE, "temporarily_unavailable"],
  [Code.DEADLINE_EXCEEDED, "temporarily_unavailable"],
  [Code.INTERNAL, "server_error"],
]);

/** Numbers are JSON numbers, unlike ProtoJSON's strings. An inactive token has no other fields. */
function toJson({ active, sub, username, iat, exp, iss }: IntrospectTokenResponse): string {
  const fields = active
    ? { active, sub, ...(username && { username }), iat: Number(iat), exp: Number(exp), iss }
    : { active };
  return `${JSON.stringify(fields)}\n`;
}

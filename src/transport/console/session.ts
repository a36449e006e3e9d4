import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  AccessService,
  CreateTokenRequestSchema,
  RevokeTokenRequestSchema,
  WhoAmIRequestSchema,
  type WhoAmIResponse,
} from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { RpcError, refusal } from "../../rpc/errors.ts";
import type { Call, Pipeline } from "../../rpc/pipeline.ts";
import { holderOf, type Shares } from "../../rpc/shares.ts";
import { readWhole, roomsOf } from "../http/body.ts";
import type { Answer, Exchange } from "../http/exchange.ts";
import { jsonAnswer, statusAnswer, wrongVerb } from "../http/status.ts";
import type { Limits } from "../limits.ts";
import { decodeText } from "../text.ts";
import { type ConsoleSession, isOfOwnOrigin, isPageSecure, MAX_SESSION_MS, type SessionCookie } from "./cookie.ts";
import type { Oidc } from "./oidc.ts";

const VERBS = ["GET", "POST", "DELETE"];
/** The largest token, and what encloses it. */
const MAX_LOGIN_BYTES = 20 * 1024;
/** A token that lives longer is no code. Codes live 60 s; the rest is for clocks that differ. */
const MAX_CODE_MS = 5 * 60 * 1_000;

const { whoAmI, createToken, revokeToken } = AccessService.method;

/** Opens, ends or looks for the session of a browser. Only a page of this origin may, so that no other site can. */
export function createSessionDoor(
  pipeline: Pipeline,
  { bodyMs }: Pick<Limits, "bodyMs">,
  shares: Shares,
  cookie: SessionCookie,
  oidc: Oidc | undefined,
) {
  const rooms = roomsOf(shares);

  async function bodyOf(exchange: Exchange, call: Call): Promise<{ token: string } | { code: string }> {
    const room = rooms.open(holderOf(call.address));
    const bytes = await readWhole(exchange, { limit: MAX_LOGIN_BYTES, timeoutMs: bodyMs, room });
    let body: { token?: unknown; code?: unknown } | null = null;
    try {
      body = JSON.parse(decodeText(bytes));
    } catch {
      // Refused below.
    }
    const { token, code } = body ?? {};
    if (typeof token === "string" && token !== "") return { token };
    if (typeof code === "string" && code !== "") return { code };
    throw refusal("INVALID_REQUEST", 'The body must be JSON with a token or a code: {"token": "…"}.');
  }

  /** The call with a token of its own. A key of idempotency would keep the answer, and so a secret. */
  const callWith = (call: Call, token: string): Call => ({
    ...call,
    authorization: `Bearer ${token}`,
    idempotencyKey: undefined,
  });

  async function bearerOf(call: Call): Promise<WhoAmIResponse> {
    const ask = await pipeline.admit(whoAmI, call);
    return ask(create(WhoAmIRequestSchema));
  }

  /** A session that ends with its token. Rejects with an RpcError if the server does not accept the token. */
  async function withToken(token: string, call: Call): Promise<ConsoleSession> {
    const { expires } = await bearerOf(callWith(call, token));
    const latest = Date.now() + MAX_SESSION_MS;
    return { token, ends: expires ? Math.min(latest, timestampMs(expires)) : latest };
  }

  /**
   * A session with a token of its own, for the code of `userlock console`. Of two exchanges at once one revokes the
   * code; the other one revokes the token that it made, and fails with TOKEN_INVALID.
   */
  async function withCode(code: string, call: Call): Promise<ConsoleSession> {
    const own = callWith(call, code);
    const { subject, grants, tokenId, expires } = await bearerOf(own).catch((error) => {
      throw isAboutToken(error) ? noCode() : error;
    });
    if (tokenId === undefined || !expires || timestampMs(expires) > Date.now() + MAX_CODE_MS) throw noCode();
    const ends = Date.now() + MAX_SESSION_MS;
    const make = await pipeline.admit(createToken, own);
    const revoke = await pipeline.admit(revokeToken, own);
    const wanted: MessageInitShape<typeof CreateTokenRequestSchema> = {
      subject,
      grants,
      expires: timestampFromMs(ends),
    };
    const { token, details } = await make(create(CreateTokenRequestSchema, wanted));
    const ownToken = details?.id as string;
    try {
      await revoke(create(RevokeTokenRequestSchema, { tokenId }));
    } catch (error) {
      await revoke(create(RevokeTokenRequestSchema, { tokenId: ownToken }));
      throw isAboutToken(error) ? noCode() : error;
    }
    return { token, ends, ownToken };
  }

  async function logIn(exchange: Exchange, call: Call): Promise<Answer> {
    const body = await bodyOf(exchange, call);
    const session = await ("token" in body ? withToken(body.token, call) : withCode(body.code, call));
    const setCookie = cookie.set(isPageSecure(exchange), session, Date.now());
    await endOwnToken(cookie.sessionOf(exchange, Date.now()), call);
    return { status: 204, headers: { "set-cookie": setCookie } };
  }

  /** Revokes the token that was made for a session, which nobody needs any more. */
  async function endOwnToken(session: ConsoleSession | undefined, call: Call): Promise<void> {
    if (session?.ownToken === undefined) return;
    try {
      const revoke = await pipeline.admit(revokeToken, callWith(call, session.token));
      await revoke(create(RevokeTokenRequestSchema, { tokenId: session.ownToken }));
    } catch {
      // It was reported. The browser forgets the token in any case, which is revoked already or ends within hours.
    }
  }

  async function logOut(exchange: Exchange, call: Call): Promise<Answer> {
    const session = cookie.sessionOf(exchange, Date.now());
    await endOwnToken(session, call);
    const headers = { "set-cookie": cookie.clear(isPageSecure(exchange)) };
    const { origin } = exchange.headers;
    const location = session?.isOfIssuer && origin !== undefined ? await oidc?.endOf(origin) : undefined;
    return location === undefined ? { status: 204, headers } : jsonAnswer({ location }, headers);
  }

  async function answer(exchange: Exchange, call: Call): Promise<Answer> {
    const { verb } = exchange;
    if (!VERBS.includes(verb)) return wrongVerb(VERBS);
    try {
      if (!isOfOwnOrigin(exchange)) {
        throw refusal("PERMISSION_MISSING", "Only the console's own page may log in or out.");
      }
      if (verb === "POST") return await logIn(exchange, call);
      if (verb === "DELETE") return await logOut(exchange, call);
      const isLoggedIn = cookie.sessionOf(exchange, Date.now()) !== undefined;
      return jsonAnswer({ isLoggedIn, issuer: oidc?.host });
    } catch (error) {
      return statusAnswer(pipeline.explain(error, call));
    }
  }

  return { answer, withToken };
}

/** Whether the token is unknown, revoked or expired. */
function isAboutToken(error: unknown): boolean {
  return error instanceof RpcError && (error.reason?.startsWith("TOKEN_") ?? false);
}

function noCode(): Error {
  return refusal("TOKEN_INVALID", "The link is used or too old. Make a new one: userlock console.");
}

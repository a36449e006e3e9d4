import { refusal } from "../../rpc/errors.ts";
import type { Call, Pipeline } from "../../rpc/pipeline.ts";
import type { Answer, Exchange, Fields } from "../http/exchange.ts";
import { jsonAnswer, plainAnswer, statusAnswer, wrongVerb } from "../http/status.ts";
import { type ConsoleSession, createSealedCookie, isOfOwnOrigin, type Sealer, type SessionCookie } from "./cookie.ts";
import { CALLBACK, type Flow, type Oidc, OidcRefused } from "./oidc.ts";

const BEGIN = "/console/_oidc";
const PAGE = "/console/";

/**
 * The log-in at the issuer of OpenID Connect. The page asks by POST where to go, so no other site can begin it, and the
 * Origin tells how the browser reaches the server, also behind a proxy. Undefined for a path that is another one's.
 */
export function createIssuerDoor(
  pipeline: Pipeline,
  oidc: Oidc,
  sealer: Sealer,
  sessions: { cookie: SessionCookie; withToken(token: string, call: Call): Promise<ConsoleSession> },
) {
  // Lax, because the issuer's redirect is a navigation from another site, with which a strict one is not sent.
  const cookie = createSealedCookie<Flow>(sealer, {
    name: "userlock-oidc",
    context: "console log-in",
    sameSite: "Lax",
  });

  async function begin(exchange: Exchange, call: Call): Promise<Answer> {
    const { verb, headers } = exchange;
    if (verb !== "POST") return wrongVerb(["POST"]);
    try {
      if (!isOfOwnOrigin(exchange) || headers.origin === undefined) {
        throw refusal("PERMISSION_MISSING", "Only the console's own page may log in or out.");
      }
      const { location, flow } = await oidc.begin(headers.origin);
      return jsonAnswer({ location }, { "set-cookie": cookie.set(isSecure(flow), flow, Date.now()) });
    } catch (error) {
      if (error instanceof OidcRefused) return jsonAnswer({ location: placeOf(error) });
      return statusAnswer(pipeline.explain(error, call));
    }
  }

  /** The browser's flow. That of a page with TLS counts only in the cookie that no sister domain can set. */
  function flowOf(exchange: Exchange): Flow | undefined {
    const [secure, plain] = [true, false].map((prefix) => cookie.valueIn(exchange, prefix, Date.now()));
    if (secure && isSecure(secure)) return secure;
    return plain && !isSecure(plain) ? plain : undefined;
  }

  async function finish(exchange: Exchange, query: string, call: Call): Promise<Answer> {
    if (exchange.verb !== "GET") return wrongVerb(["GET"]);
    // A preview of the link must not use up the code.
    if (exchange.isHead) return onwards(PAGE);
    try {
      const flow = flowOf(exchange);
      if (!flow) throw new OidcRefused("late");
      const token = await oidc.finish(flow, query);
      const session = await sessions.withToken(token, call);
      // The page itself needs no cookie. Its calls, which this site makes, have it.
      const setCookie = sessions.cookie.set(isSecure(flow), { ...session, isOfIssuer: true }, Date.now());
      return onwards(PAGE, { "set-cookie": setCookie });
    } catch (error) {
      if (!(error instanceof OidcRefused)) oidc.report(`the access token is refused: ${causeOf(error)}`);
      return onwards(placeOf(error));
    }
  }

  return (exchange: Exchange, path: string, query: string, call: Call): Promise<Answer> | undefined => {
    if (path === BEGIN) return begin(exchange, call);
    if (path === CALLBACK) return finish(exchange, query, call);
    return undefined;
  };
}

const isSecure = ({ origin }: Flow) => origin.startsWith("https:");

/** Where the page says why the log-in failed: as the issuer's part has it, or because the server refused the token. */
function placeOf(error: unknown): string {
  return `${PAGE}?login=${error instanceof OidcRefused ? error.why : "refused"}`;
}

/** The first cause, such as a wrong audience. The caller's own error does not say it. */
function causeOf(error: unknown): string {
  const { cause, message } = error as Error;
  return cause instanceof Error ? causeOf(cause) : message;
}

function onwards(location: string, headers: Fields = {}): Answer {
  return plainAnswer(303, { ...headers, location }, "");
}

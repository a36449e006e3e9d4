import { refusal, rpcErrorOf } from "../../rpc/errors.ts";
import type { Call, Pipeline } from "../../rpc/pipeline.ts";
import type { Shares } from "../../rpc/shares.ts";
import { type Answer, type Exchange, type Fields, headerOf } from "../http/exchange.ts";
import type { RequestPath } from "../http/request-path.ts";
import { plainAnswer, statusAnswer, wrongVerb } from "../http/status.ts";
import type { Limits } from "../limits.ts";
import { createSessionCookie, type Sealer } from "./cookie.ts";
import { readConsoleFiles, securityHeaders } from "./files.ts";
import { createIssuerDoor } from "./issuer-door.ts";
import { createOidc, type OidcSettings } from "./oidc.ts";
import { createSessionDoor } from "./session.ts";

export interface ConsoleSettings {
  /** Encrypts the sessions of browsers. */
  sealer: Sealer;
  /** The log-in by OpenID Connect. Undefined: none. */
  oidc: OidcSettings | undefined;
  /** Called with failures of its issuer, at most once a minute. */
  onIssuerError(error: Error): void;
}

/** The admin console: its page and files, and the sessions of its browsers. */
export interface ConsoleDoor {
  /** Undefined for a path that is not the console's. */
  (exchange: Exchange, path: RequestPath, call: Call): Promise<Answer> | Answer | undefined;
  /** The Authorization that a call of the console's page carries in its cookie. */
  authorizationOf(exchange: Exchange): string | undefined;
}

const HOME = "/console/";
const SESSION = "/console/_session";

export function createConsoleDoor(
  pipeline: Pipeline,
  limits: Pick<Limits, "bodyMs">,
  shares: Shares,
  { sealer, ...settings }: ConsoleSettings,
): ConsoleDoor {
  const files = readConsoleFiles();
  const cookie = createSessionCookie(sealer);
  const oidc = settings.oidc && createOidc(settings.oidc, settings.onIssuerError);
  const session = createSessionDoor(pipeline, limits, shares, cookie, oidc);
  const issuer = oidc && createIssuerDoor(pipeline, oidc, sealer, { cookie, withToken: session.withToken });

  function answer(exchange: Exchange, { path, query }: RequestPath, call: Call): Promise<Answer> | Answer | undefined {
    const { verb, headers } = exchange;
    if (path === "/" && verb === "GET" && headerOf(headers, "accept")?.includes("text/html")) {
      return plainAnswer(302, { location: HOME, vary: "accept" }, "");
    }
    if (path === SESSION) return session.answer(exchange, call);
    if (path === HOME.slice(0, -1)) return plainAnswer(308, { location: HOME }, "");
    if (!path.startsWith(HOME)) return undefined;
    const atIssuer = issuer?.(exchange, path, query, call);
    if (atIssuer) return atIssuer;
    if (verb !== "GET") return wrongVerb(["GET"]);
    const name = path.slice(HOME.length);
    const file = files(exchange, name);
    if (file) return file;
    // A file of another version is gone. Every other path is a place in the page, also that of a user with a dot.
    if (/^[^/]+\.\w+$/.test(name)) {
      return statusAnswer(rpcErrorOf(refusal("METHOD_NOT_FOUND", "The file does not exist.")), 404);
    }
    return files(exchange, "");
  }

  /** With the headers that every answer of the console has. */
  const secured = (found: Answer, { scheme }: Exchange): Answer => {
    const fields: Fields = { ...securityHeaders(scheme), ...found.headers };
    return { ...found, headers: fields };
  };
  const door = (exchange: Exchange, path: RequestPath, call: Call) => {
    const found = answer(exchange, path, call);
    if (found === undefined) return undefined;
    return found instanceof Promise ? found.then((late) => secured(late, exchange)) : secured(found, exchange);
  };
  return Object.assign(door, { authorizationOf: (exchange: Exchange) => cookie.authorizationOf(exchange, Date.now()) });
}

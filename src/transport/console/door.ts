import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { AccessService, WhoAmIRequestSchema } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { refusal, rpcErrorOf } from "../../rpc/errors.ts";
import type { Call, Pipeline } from "../../rpc/pipeline.ts";
import { holderOf, type Shares } from "../../rpc/shares.ts";
import { readWhole, roomsOf } from "../http/body.ts";
import { type Answer, type Exchange, type Fields, headerOf } from "../http/exchange.ts";
import { plainAnswer, statusAnswer, wrongVerb } from "../http/status.ts";
import type { Limits } from "../limits.ts";
import { decodeText } from "../text.ts";
import { createSessionCookie, isOfOwnOrigin, MAX_SESSION_MS, type Sealer } from "./cookie.ts";
import { readConsoleFiles, securityHeaders } from "./files.ts";

/** The admin console: its page and files, and the sessions of its browsers. */
export interface ConsoleDoor {
  /** Undefined for a path that is not the console's. */
  (exchange: Exchange, path: string, call: Call): Promise<Answer> | Answer | undefined;
  /** The Authorization that a call of the console's page carries in its cookie. */
  authorizationOf(exchange: Exchange): string | undefined;
}

const HOME = "/console/";
const SESSION = "/console/_session";
const VERBS = ["GET", "POST", "DELETE"];
/** The largest token, and what encloses it. */
const MAX_LOGIN_BYTES = 20 * 1024;

export function createConsoleDoor(
  pipeline: Pipeline,
  { bodyMs }: Pick<Limits, "bodyMs">,
  shares: Shares,
  sealer: Sealer,
): ConsoleDoor {
  const files = readConsoleFiles();
  const cookie = createSessionCookie(sealer);
  const rooms = roomsOf(shares);

  async function tokenIn(exchange: Exchange, call: Call): Promise<string> {
    const room = rooms.open(holderOf(call.address));
    const bytes = await readWhole(exchange, { limit: MAX_LOGIN_BYTES, timeoutMs: bodyMs, room });
    let token: unknown;
    try {
      ({ token } = JSON.parse(decodeText(bytes)));
    } catch {
      // Refused below.
    }
    if (typeof token === "string" && token !== "") return token;
    throw refusal("INVALID_REQUEST", 'The body must be JSON with a token: {"token": "…"}.');
  }

  /** Opens a session with a token that the server accepts. */
  async function logIn(exchange: Exchange, call: Call): Promise<Answer> {
    const token = await tokenIn(exchange, call);
    const admitted = await pipeline.admit(AccessService.method.whoAmI, { ...call, authorization: `Bearer ${token}` });
    const { expires } = await admitted(create(WhoAmIRequestSchema));
    const now = Date.now();
    const ends = Math.min(now + MAX_SESSION_MS, expires ? timestampMs(expires) : Number.POSITIVE_INFINITY);
    return { status: 204, headers: { "set-cookie": cookie.set(exchange, { token, ends }, now) } };
  }

  /** Opens, ends or looks for the session of a browser. Only a page of this origin may: no other site logs a browser in or out. */
  async function session(exchange: Exchange, call: Call): Promise<Answer> {
    try {
      if (!isOfOwnOrigin(exchange)) {
        throw refusal("PERMISSION_MISSING", "Only the console's own page may log in or out.");
      }
      if (exchange.verb === "POST") return await logIn(exchange, call);
      if (exchange.verb === "GET") {
        const isLoggedIn = cookie.sessionOf(exchange, Date.now()) !== undefined;
        return plainAnswer(200, { "content-type": "application/json" }, JSON.stringify({ isLoggedIn }));
      }
      return { status: 204, headers: { "set-cookie": cookie.clear(exchange) } };
    } catch (error) {
      return statusAnswer(pipeline.explain(error, call));
    }
  }

  function answer(exchange: Exchange, path: string, call: Call): Promise<Answer> | Answer | undefined {
    const { verb, headers } = exchange;
    if (path === "/" && verb === "GET" && headerOf(headers, "accept")?.includes("text/html")) {
      return plainAnswer(302, { location: HOME, vary: "accept" }, "");
    }
    if (path === SESSION) return VERBS.includes(verb) ? session(exchange, call) : wrongVerb(VERBS);
    if (path === HOME.slice(0, -1)) return plainAnswer(308, { location: HOME }, "");
    if (!path.startsWith(HOME)) return undefined;
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
  const door = (exchange: Exchange, path: string, call: Call) => {
    const found = answer(exchange, path, call);
    if (found === undefined) return undefined;
    return found instanceof Promise ? found.then((late) => secured(late, exchange)) : secured(found, exchange);
  };
  return Object.assign(door, { authorizationOf: (exchange: Exchange) => cookie.authorizationOf(exchange, Date.now()) });
}

import { createInstanceSecrets } from "../../../src/auth/instance-secrets.ts";
import { createSessionCookie } from "../../../src/transport/console/cookie.ts";
import { exchange, type HttpAnswer, type HttpRequest } from "../clients/http.ts";
import { ADMIN_TOKEN } from "../servers/server-process.ts";

export const SESSION = "/console/_session";
export const WHO_AM_I = "/userlock.v3alpha.AccessService/WhoAmI";

/** What a browser sends with a call of the console's page. */
export const CALL = {
  "content-type": "application/json",
  "connect-protocol-version": "1",
  "sec-fetch-site": "same-origin",
};

/** A request to the console's session, as its page sends it. */
export function askSession(url: string, request: Partial<HttpRequest>): Promise<HttpAnswer> {
  const { headers, ...rest } = request;
  const own = { "sec-fetch-site": "same-origin", origin: new URL(url).origin };
  return exchange(url, { path: SESSION, headers: { ...own, ...headers }, ...rest });
}

/** Logs a browser in. The answer has its cookie. */
export function logIn(url: string, token: string = ADMIN_TOKEN, request: Partial<HttpRequest> = {}) {
  return askSession(url, { body: JSON.stringify({ token }), ...request });
}

/** The cookie that an answer sets, as browsers send it back: `name=value`. */
export function cookieIn({ headers }: HttpAnswer): string {
  const [pair = ""] = (headers.get("set-cookie") ?? "").split(";");
  return pair;
}

/** The name and attributes of the cookie that an answer sets, without the value. */
export function attributesOf({ headers }: HttpAnswer): string[] {
  return (headers.get("set-cookie") ?? "").replace(/=[^;]*/, "").split("; ");
}

/** The cookie of a session that the holder of a key makes. `changes` in milliseconds. */
export function sealCookie(key: Uint8Array, session: { token?: string; endsIn?: number } = {}): string {
  const { token = ADMIN_TOKEN, endsIn = 60_000 } = session;
  const now = Date.now();
  const made = createSessionCookie(createInstanceSecrets(key));
  // The server that gets it decides whether it has ended.
  const setCookie = made.set(false, { token, ends: now + endsIn }, now);
  return setCookie.split(";")[0] as string;
}

/** The subject if WhoAmI succeeds; otherwise the reason of the error or, without one, its status in gRPC or HTTP. */
export function outcomeOf({ status, body }: HttpAnswer): string {
  const text = body.toString();
  const grpcStatus = /grpc-status: (\d+)/.exec(text)?.[1];
  if (grpcStatus) return grpcStatus;
  if (status !== 200) return /"reason":\s*"(\w+)"/.exec(text)?.[1] ?? String(status);
  return (JSON.parse(text) as { subject: string }).subject;
}

import { signal } from "@preact/signals";
import type { WhoAmIResponse } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { texts } from "../i18n/messages.ts";
import { access, isLoggedOut, whenLoggedOut } from "./api.ts";
import { go } from "./router.ts";

const SESSION = "/console/_session";

/** Who is logged in. Undefined: not known yet. Null: nobody. */
export const me = signal<WhoAmIResponse | null | undefined>(undefined);

/** Why nobody could be asked, if so. */
export const meFailure = signal<unknown>(undefined);

whenLoggedOut(() => {
  me.value = null;
});

/** Why the last log-in failed, a sentence. Empty without one. */
export const loginFailure = signal("");

/** The host of the issuer of OpenID Connect, if admins can log in there. */
export const issuer = signal<string | undefined>(undefined);

/**
 * What the address says about a log-in: the one-time code of `userlock console`, and why the one at the issuer failed.
 * Removes both, so that neither stays in the history. Empty without one.
 */
function takeFromAddress(): { code: string; refusal: string } {
  const url = new URL(window.location.href);
  const code = /^#code=([\w.~-]+)$/.exec(url.hash)?.[1] ?? "";
  const refusal = url.searchParams.get("login") ?? "";
  if (code !== "") url.hash = "";
  url.searchParams.delete("login");
  if (code !== "" || refusal !== "") go(url.href, { isReplacing: true });
  return { code, refusal };
}

/**
 * Asks the server who is logged in. A code in the address logs in first, also in place of another session: a link that
 * is opened is used up.
 */
export async function loadMe(): Promise<void> {
  const { code, refusal } = takeFromAddress();
  try {
    meFailure.value = undefined;
    const { refusals } = texts.value.login;
    const known = Object.hasOwn(refusals, refusal) ? refusals[refusal as keyof typeof refusals] : "";
    loginFailure.value = code === "" ? known : await openSession({ code });
    if (!(await isKnown())) me.value = null;
  } catch (error) {
    meFailure.value = error;
  }
}

async function isKnown(): Promise<boolean> {
  // Without a session the call would be refused, which is an error in the browser's console.
  const known = (await (await fetch(SESSION)).json()) as { isLoggedIn: boolean; issuer?: string };
  issuer.value = known.issuer;
  if (!known.isLoggedIn) return false;
  try {
    me.value = await access.whoAmI({});
    return true;
  } catch (error) {
    if (isLoggedOut(error)) return false;
    throw error;
  }
}

/** Opens a session. Resolves with the server's sentence if it refuses, otherwise with an empty text. */
async function openSession(proof: { token: string } | { code: string }): Promise<string> {
  const response = await fetch(SESSION, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(proof),
  });
  if (response.ok) return "";
  const { message } = (await response.json().catch(() => ({}))) as { message?: string };
  return message ?? String(response.status);
}

/** Opens a session with a token. Resolves with the server's sentence if it refuses. */
export async function logIn(token: string): Promise<string> {
  const refused = await openSession({ token });
  if (refused === "") await loadMe();
  return refused;
}

/** Goes to the issuer of OpenID Connect, which comes back to the console. */
export async function logInAtIssuer(): Promise<void> {
  const { location } = (await (await fetch("/console/_oidc", { method: "POST" })).json()) as { location: string };
  window.location.assign(location);
}

/** Logs out, also at the issuer if the session came from there. */
export async function logOut(): Promise<void> {
  const response = await fetch(SESSION, { method: "DELETE" });
  loginFailure.value = "";
  me.value = null;
  if (response.status !== 200) return;
  const { location } = (await response.json()) as { location: string };
  window.location.assign(location);
}

/** Whether the caller holds the permission anywhere. The server decides in any case. */
export function can(permission: string): boolean {
  return me.value?.permissions.some((reach) => reach.permission === permission) ?? false;
}

import { signal } from "@preact/signals";
import type { WhoAmIResponse } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
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

/** Why the last log-in failed, the server's sentence. Empty without one. */
export const loginFailure = signal("");

/**
 * The one-time code of `userlock console` in the address, which it removes, so that the history has none. Empty without
 * one.
 */
function takeCode(): string {
  const code = /^#code=([\w.~-]+)$/.exec(window.location.hash)?.[1] ?? "";
  if (code !== "") go(window.location.pathname + window.location.search, { isReplacing: true });
  return code;
}

/**
 * Asks the server who is logged in. A code in the address logs in first, also in place of another session: a link that
 * is opened is used up.
 */
export async function loadMe(): Promise<void> {
  const code = takeCode();
  try {
    meFailure.value = undefined;
    loginFailure.value = code === "" ? "" : await openSession({ code });
    if (!(await isKnown())) me.value = null;
  } catch (error) {
    meFailure.value = error;
  }
}

async function isKnown(): Promise<boolean> {
  // Without a session the call would be refused, which is an error in the browser's console.
  const { isLoggedIn } = (await (await fetch(SESSION)).json()) as { isLoggedIn: boolean };
  if (!isLoggedIn) return false;
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

export async function logOut(): Promise<void> {
  await fetch(SESSION, { method: "DELETE" });
  loginFailure.value = "";
  me.value = null;
}

/** Whether the caller holds the permission anywhere. The server decides in any case. */
export function can(permission: string): boolean {
  return me.value?.permissions.some((reach) => reach.permission === permission) ?? false;
}

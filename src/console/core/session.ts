import { signal } from "@preact/signals";
import type { WhoAmIResponse } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { access, isLoggedOut, whenLoggedOut } from "./api.ts";

const SESSION = "/console/_session";

/** Who is logged in. Undefined: not known yet. Null: nobody. */
export const me = signal<WhoAmIResponse | null | undefined>(undefined);

/** Why nobody could be asked, if so. */
export const meFailure = signal<unknown>(undefined);

whenLoggedOut(() => {
  me.value = null;
});

/** Asks the server who is logged in. */
export async function loadMe(): Promise<void> {
  try {
    // A refused call would be an error in the browser's console.
    const { isLoggedIn } = (await (await fetch(SESSION)).json()) as { isLoggedIn: boolean };
    if (!isLoggedIn) {
      me.value = null;
      return;
    }
    me.value = await access.whoAmI({});
    meFailure.value = undefined;
  } catch (error) {
    if (isLoggedOut(error)) me.value = null;
    else meFailure.value = error;
  }
}

/** Opens a session with a token. Resolves with the server's sentence if it refuses. */
export async function logIn(token: string): Promise<string | undefined> {
  const response = await fetch(SESSION, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token }),
  });
  if (!response.ok) {
    const { message } = (await response.json().catch(() => ({}))) as { message?: string };
    return message ?? String(response.status);
  }
  await loadMe();
  return undefined;
}

export async function logOut(): Promise<void> {
  await fetch(SESSION, { method: "DELETE" });
  me.value = null;
}

/** Whether the caller holds the permission anywhere. The server decides in any case. */
export function can(permission: string): boolean {
  return me.value?.permissions.some((reach) => reach.permission === permission) ?? false;
}

import { setTimeout as sleep } from "node:timers/promises";
import { expectOutcome } from "./protocols.ts";
import { createShow } from "./show.ts";

const USERS = "/resources/v3alpha/users";
const SESSIONS = "/resources/v3alpha/sessions";
const USER = "bob";
const PASSWORD = "correct horse battery staple";
/** Long enough to see, short enough to wait for. */
const LOCK_SECONDS = 2;

/**
 * Shows what a lock does to logins. Wrong passwords lock, but a known device still gets in, and the lock ends by itself. A
 * manual lock ends the session. Throws if an answer is unexpected.
 */
export async function runLoginDemo(url: string, token: string, print: (line: string) => void): Promise<void> {
  const show = createShow(url, token, print);
  const logIn = async (password: string, succeeds: boolean, deviceToken?: string) => {
    const { ok, json } = await show.call("POST", SESSIONS, {
      userId: USER,
      password,
      ...(deviceToken !== undefined && { deviceToken }),
    });
    expectOutcome(ok, succeeds, `the login with ${password}`);
    return json as { sessionId: string; deviceToken: string };
  };
  const look = async (sessionId: string, isOpen: boolean) =>
    expectOutcome((await show.call("GET", `${SESSIONS}/${sessionId}`)).ok, isOpen, "looking at the session");

  show.heading("A user with a password logs in; locks are short here, so that you see one end");
  const policy = { lockDuration: `${LOCK_SECONDS}s` };
  expectOutcome((await show.call("PUT", "/resources/v3alpha/settings/lockout", policy)).ok, true, "the policy");
  const user = { userId: USER, authenticators: { password: { password: PASSWORD } } };
  expectOutcome((await show.call("POST", USERS, user)).ok, true, "creating the user");
  const first = await logIn(PASSWORD, true);

  show.heading("A stranger tries five passwords: the user is locked, and the session is gone");
  for (const guess of ["123456", "password", "qwerty", "letmein", "dragon"]) await logIn(guess, false);
  await show.call("GET", `${USERS}/${USER}`);
  await look(first.sessionId, false);

  show.heading("Now the right password is refused too; from the device that is known it is not");
  await logIn(PASSWORD, false);
  await logIn(PASSWORD, true, first.deviceToken);

  show.heading(`After ${LOCK_SECONDS} s the lock ends by itself`);
  await sleep(LOCK_SECONDS * 1_000);
  const again = await logIn(PASSWORD, true);

  show.heading("Locked by hand: the session is gone, and no device is let in");
  expectOutcome((await show.call("POST", `${USERS}/${USER}/_lock`, { reason: "fraud" })).ok, true, "locking");
  await look(again.sessionId, false);
  await logIn(PASSWORD, false, first.deviceToken);
}

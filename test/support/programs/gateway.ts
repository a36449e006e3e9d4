import { tokenMaker } from "../access.ts";
import { openDoors } from "../clients/doors.ts";
import { addUser, openSession } from "../logins.ts";
import { ADMIN_TOKEN } from "../servers/server-process.ts";

/** Makes a token for a gateway, and a session. Returns the environment of a program that introspects the session. */
export async function gatewayWithSession(url: string) {
  const doors = openDoors(url);
  try {
    const [door] = doors as [(typeof doors)[0]];
    const subject = "api-gateway@example.com";
    const { id, secret } = await tokenMaker(url, ADMIN_TOKEN).create(subject, ["GATEWAY"]);
    const user = await addUser(door, { id: "ada" });
    const { sessionToken } = await openSession(door, user);
    return {
      ADDRESS: new URL(url).host,
      URL: url,
      TOKEN: ADMIN_TOKEN,
      CLIENT_SUBJECT: subject,
      CLIENT_ID: id,
      CLIENT_SECRET: secret,
      USER: user,
      SESSION_TOKEN: sessionToken,
    };
  } finally {
    for (const each of doors) each.close();
  }
}

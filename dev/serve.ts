/**
 * A server for people who work on userlock: `npm run dev`. It keeps everything in memory, makes sample users, prints
 * what to paste, and starts anew when a file that it has loaded changes. The token is always the same.
 */
import { readConfig } from "../src/config/config.ts";
import { createLogger } from "../src/log.ts";
import { start } from "../src/server.ts";

const TOKEN = "dev-token-of-the-instance-owner";
const PASSWORD = "correct horse battery staple";
const USERS = ["alice", "bob", "carol"];

const config = readConfig({
  ...process.env,
  USERLOCK_STORE: "sqlite::memory:",
  USERLOCK_ADMIN_TOKEN: TOKEN,
});
const { url } = await start(config, createLogger(config.logLevel));
const users = `${url}/resources/v3alpha/users`;
for (const userId of USERS) {
  const { ok, status } = await fetch(users, {
    method: "POST",
    headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
    body: JSON.stringify({
      userId,
      contact: { email: { address: `${userId}@example.com`, isVerified: true } },
      authenticators: { usernames: [{ username: userId }], password: { password: PASSWORD } },
    }),
  });
  if (!ok) throw new Error(`${userId} was not created: status ${status}`);
}

const curl = 'curl -H "Authorization: Bearer $TOKEN"';
process.stdout.write(`userlock listening on ${url}, with the users ${USERS.join(", ")}

  export TOKEN=${TOKEN}
  ${curl} --json '{"reason":"fraud"}' ${users}/alice/_lock
  ${curl} --json '{"userId":"bob","password":"${PASSWORD}"}' ${url}/resources/v3alpha/sessions
`);

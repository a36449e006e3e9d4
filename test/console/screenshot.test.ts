// Takes the pictures of the README: `npm run screenshots` refreshes them. Each run proves that the page still shows this.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { logIn, SCHEMES } from "../support/console/browser.ts";
import { openConsole } from "../support/console/open-console.ts";
import { asOwner, byId, logIn as logInUser, ok, PASSWORD, setPolicy } from "../support/logins.ts";
import { startServer } from "../support/servers/server-process.ts";

const FOLDER = "docs/images";
const NAMES = ["ada", "bela", "chidi", "dora", "emil", "farah", "goran", "hana", "ines", "jonas", "kofi", "lena"];
const LOCKS = [
  [
    "chidi",
    { reason: "fraud", note: "Called from a stolen phone.", end: { case: "duration", value: { seconds: 43_200n } } },
  ],
  ["farah", { reason: "compromised" }],
  ["kofi", { reason: "support:4711", end: { case: "duration", value: { seconds: 900n } } }],
] as const;

const { server, door, browser } = await openConsole(startServer);

beforeAll(async () => {
  const { createUser, deactivateUser, lockUser } = UserService.method;
  for (const name of NAMES) {
    const email = { address: `${name}@example.com` };
    const authenticators = {
      usernames: [{ username: name }],
      password: { type: { case: "password" as const, value: PASSWORD } },
    };
    const user = { userId: `u-${name}`, contact: { email }, authenticators };
    ok(await door.call(createUser, { user } as never, asOwner));
  }
  await setPolicy(door, { maxAttempts: 3, lockDuration: { seconds: 600n, nanos: 0 } } as never);
  for (let attempt = 0; attempt < 3; attempt++)
    await logInUser(door, { ...byId("u-hana"), password: `wrong${attempt}` });
  for (const [name, lock] of LOCKS) ok(await door.call(lockUser, { id: `u-${name}`, ...lock } as never, asOwner));
  ok(await door.call(deactivateUser, { id: "u-goran" }, asOwner));
  ok(await door.call(deactivateUser, { id: "u-kofi" }, asOwner));
});

test.each(SCHEMES)("the console's list shows who is locked, why and until when: %s", async (scheme) => {
  const page = await browser.visit(`${server.url}/console/users`, { scheme });
  await page.setViewportSize({ width: 1280, height: 860 });
  await logIn(page);
  await page.getByText("12 users", { exact: true }).waitFor();
  await page.getByText("Live", { exact: true }).waitFor();
  expect(await page.getByText("Locked", { exact: true }).count()).toBe(4);
  expect(await page.getByRole("row", { name: "u-chidi" }).innerText()).toMatch(/by hand\s*fraud.*ends in \d+ hr/s);
  expect(await page.getByRole("row", { name: "u-hana" }).innerText()).toMatch(/wrong passwords/);
  expect(await page.getByRole("row", { name: "u-kofi" }).innerText()).toMatch(/Locked\s*Inactive/);
  await page.getByLabel("Select u-farah").check();
  await page.mouse.move(0, 0);
  const picture = await page.screenshot();
  expect(picture.byteLength).toBeGreaterThan(20_000);
  if (process.env.UPDATE_IMAGES === "1") {
    mkdirSync(FOLDER, { recursive: true });
    writeFileSync(`${FOLDER}/console-${scheme}.png`, picture);
  }
  expect(readFileSync(`${FOLDER}/console-${scheme}.png`).subarray(1, 4).toString()).toBe("PNG");
});

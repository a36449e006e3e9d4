// Proves the overview: it leads a new operator to their first user, and shows live who is locked and what fails.
import { spawnSync } from "node:child_process";
import type { Page } from "playwright-core";
import { AccessService, Role } from "../../gen/userlock/v3alpha/access_service_pb.ts";
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { expectAccessible, expectNarrow, logIn, SCHEMES } from "../support/console/browser.ts";
import { openConsole } from "../support/console/open-console.ts";
import { addUser, asOwner, failLogins, ok, setPolicy } from "../support/logins.ts";
import { startAdminServer } from "../support/servers/admin-server.ts";
import { ADMIN_TOKEN } from "../support/servers/server-process.ts";

const { deleteUser, lockUser, unlockUser } = UserService.method;

// Where the console is served alone: its commands must work there, too.
const { server, door, browser } = await openConsole(startAdminServer);

/** The part of the page with this heading. */
const part = (page: Page, name: string) => page.getByRole("region", { name, exact: true });

/** Runs a command as an operator would, with `userlock` on the path. */
function run(command: string): void {
  const shell = `userlock() { "${process.execPath}" src/main.ts "$@"; }\n${command}`;
  const { status, stderr } = spawnSync("bash", ["-c", shell], {
    env: { ...process.env, USERLOCK_TOKEN: ADMIN_TOKEN },
    encoding: "utf8",
  });
  expect([status, status === 0 ? "" : stderr]).toEqual([0, ""]);
}

test.each(SCHEMES)(
  "an empty store shows commands that create the first user, and then the user: %s",
  async (scheme) => {
    const page = await browser.visit(`${server.adminUrl}/console/`, { scheme });
    await logIn(page);
    const first = part(page, "Create the first user");
    await first.waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
    await expectAccessible(page);
    const command = scheme === "light" ? 0 : 1;
    const text = await first.locator("pre").nth(command).innerText();
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await first.getByRole("button", { name: /^Copy/ }).nth(command).click();
    await first.getByText("Copied.").waitFor();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(text);
    // An id is used once.
    const id = `first-${scheme}`;
    run(text.replaceAll("alice", id));
    await page.getByRole("link", { name: "1 all users" }).waitFor();
    expect(await first.count()).toBe(0);
    ok(await door.call(deleteUser, { id }, asOwner));
    await first.waitFor();
  },
);

test.each(SCHEMES)("it shows live who is locked, why and until when, and what fails: %s", async (scheme) => {
  const [fraud, guessed] = [
    await addUser(door, { id: `fraud-${scheme}` }),
    await addUser(door, { id: `guessed-${scheme}` }),
  ];
  await setPolicy(door, { maxAttempts: 3, lockDuration: { seconds: 600n, nanos: 0 } } as never);
  const page = await browser.visit(`${server.adminUrl}/console/`, { scheme });
  await logIn(page);
  await page.getByText("Live", { exact: true }).waitFor();
  await part(page, "Locks that end soon").waitFor();
  const failures = part(page, "Failed logins");
  const before = Number((await failures.locator("strong").innerText()) || "0");

  ok(await door.call(lockUser, { id: fraud, reason: "fraud" }, asOwner));
  await failLogins(door, guessed, 3);
  await page.getByRole("link", { name: "2 locked now" }).waitFor();
  await page.getByRole("link", { name: "1 by hand" }).waitFor();
  await page.getByRole("link", { name: "1 wrong passwords" }).waitFor();
  const locks = part(page, "Last locks");
  expect(await locks.getByRole("row", { name: fraud }).innerText()).toMatch(/by hand\s*fraud\s*no end/);
  await part(page, "Locks that end soon")
    .getByRole("listitem")
    .filter({ hasText: guessed })
    .getByText(/in \d+ min/)
    .waitFor();
  await failures.getByText(String(before + 3), { exact: true }).waitFor();
  await failures.getByRole("img", { name: `${before + 3} failed logins in the last 60 minutes` }).waitFor();
  await part(page, "Server").getByText("ready", { exact: true }).waitFor();
  await expectAccessible(page);
  await expectNarrow(page);

  ok(await door.call(unlockUser, { id: fraud }, asOwner));
  ok(await door.call(unlockUser, { id: guessed }, asOwner));
  await locks
    .getByRole("row", { name: fraud })
    .getByText(/Unlocked/)
    .waitFor();
  await page.getByRole("link", { name: "0 locked now" }).waitFor();
  await page
    .getByRole("link", { name: "2 all users" })
    .or(page.getByRole("link", { name: "4 all users" }))
    .click();
  await page.getByRole("heading", { name: "Users" }).waitFor();
});

test("a caller without permissions sees the server, and nothing that is refused", async () => {
  const { createToken } = AccessService.method;
  const grants = [{ role: Role.LOGIN_CLIENT }];
  const { response } = await door.call(createToken, { subject: "login-page", grants }, asOwner);
  const page = await browser.visit(`${server.adminUrl}/console/`);
  await logIn(page, response!.token);
  await part(page, "Server").getByText("login-page").waitFor();
  expect(await page.getByRole("region").count()).toBe(1);
  expect(await page.getByRole("alert").count()).toBe(0);
});

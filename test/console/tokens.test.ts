// Proves the page of tokens: list, create with a secret that is shown once, revoke, and the caller's own token.
import type { Page } from "playwright-core";
import { AccessService, Role } from "../../gen/userlock/v3alpha/access_service_pb.ts";
import { expectAccessible, logIn, SCHEMES } from "../support/console/browser.ts";
import { openConsole } from "../support/console/open-console.ts";
import { asOwner, ok } from "../support/logins.ts";
import { startServer } from "../support/servers/server-process.ts";

const { createToken, whoAmI } = AccessService.method;

const { server, door, browser } = await openConsole(startServer);

const open = async (query: string, token?: string, scheme?: (typeof SCHEMES)[number]) => {
  const page = await browser.visit(`${server.url}/console/tokens${query}`, scheme && { scheme });
  await logIn(page, token);
  return page;
};

/** Everything that a page may keep. */
const keptBy = (page: Page) =>
  page.evaluate(() =>
    JSON.stringify([location.href, history.state, { ...localStorage }, { ...sessionStorage }, document.body.innerHTML]),
  );

test.each(SCHEMES)("an admin creates a token, copies its secret, uses it and revokes it: %s", async (scheme) => {
  const subject = `billing-${scheme}`;
  const page = await open("", undefined, scheme);
  await page.getByRole("button", { name: "Create a token…" }).click();
  const dialog = page.getByRole("dialog", { name: "Create a token" });
  await dialog.getByLabel("Subject").fill(subject);
  await dialog.getByLabel("Organization").fill("acme");
  await dialog.getByRole("button", { name: "Add a grant" }).click();
  const second = dialog.getByRole("group", { name: "Grant 2" });
  await second.getByLabel("Role").selectOption("GATEWAY");
  await second.getByText("Checks sessions and follows locks").waitFor();
  await dialog.getByLabel("Expires").selectOption("in 30 days");
  await expectAccessible(page);
  await dialog.getByRole("button", { name: "Create", exact: true }).click();

  const shown = page.getByRole("dialog", { name: `The secret of ${subject}` });
  const secret = await shown.getByLabel("Secret", { exact: true }).inputValue();
  await expectAccessible(page);
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await shown.getByRole("button", { name: "Copy" }).click();
  await shown.getByText("Copied.").waitFor();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(secret);
  await shown.getByRole("button", { name: "I have stored it" }).click();
  await shown.waitFor({ state: "detached" });
  expect(await keptBy(page)).not.toContain(secret);
  expect(server.stdout() + server.stderr()).not.toContain(secret);

  const who = await door.call(whoAmI, {}, { token: secret });
  expect(who.response).toMatchObject({
    subject,
    grants: [{ role: Role.ORG_USER_MANAGER, organizationId: "acme" }, { role: Role.GATEWAY }],
  });
  const row = page.getByRole("row", { name: subject });
  expect(await row.innerText()).toMatch(/ORG_USER_MANAGER on acme\s*GATEWAY on the instance/);
  await expectAccessible(page);

  await row.getByRole("button", { name: "Revoke…" }).click();
  const confirm = page.getByRole("dialog", { name: `Revoke a token of ${subject}` });
  await expectAccessible(page);
  await confirm.getByRole("button", { name: "Revoke", exact: true }).click();
  await row.waitFor({ state: "detached" });
  expect(await door.call(whoAmI, {}, { token: secret })).toMatchObject({ reason: "TOKEN_INVALID" });
});

test("the caller's own token is marked, and revoking it warns and logs out", async () => {
  const grants = [{ role: Role.INSTANCE_OWNER }];
  const { response } = await door.call(createToken, { subject: "colleague", grants }, asOwner);
  const page = await open("?subject=colleague", response!.token);
  await page.getByText("1 token", { exact: true }).waitFor();
  const row = page.getByRole("row", { name: "colleague" });
  await row.getByText("Yours").waitFor();
  await row.getByRole("button", { name: "Revoke…" }).click();
  await page.getByRole("dialog").getByText("You are logged in with this token.").waitFor();
  await expectAccessible(page);
  await page.getByRole("dialog").getByRole("button", { name: "Revoke", exact: true }).click();
  await page.getByRole("heading", { name: "Log in to userlock" }).waitFor();
  await page.close();
  // The stream of events ends with the token.
  expect(browser.messages.splice(0).filter((message) => !/status of 401/.test(message))).toEqual([]);
});

test("the last token of an owner is not revoked: the dialog shows the server's reason and stays open", async () => {
  const page = await open("");
  await page.getByRole("row").filter({ hasText: "Yours" }).getByRole("button", { name: "Revoke…" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Revoke", exact: true }).click();
  await dialog.getByText("LAST_OWNER").waitFor();
  await page.close();
  expect(browser.messages.splice(0).filter((message) => !/status of 400/.test(message))).toEqual([]);
});

test("a token that another client creates shows at once, and one without access.write sees no page", async () => {
  const page = await open("?subject=monitor");
  await page.getByText("No token matches.").waitFor();
  await page.getByText("Live", { exact: true }).waitFor();
  const grants = [{ role: Role.INSTANCE_VIEWER }];
  const answer = await door.call(createToken, { subject: "monitor", grants }, asOwner);
  ok(answer);
  const row = page.getByRole("row", { name: "monitor" });
  await row.getByText("INSTANCE_VIEWER on the instance").waitFor();
  expect(await row.innerText()).toContain("never");

  const other = await browser.visit(`${server.url}/console/tokens`);
  await other.getByLabel("Token", { exact: true }).fill(answer.response!.token);
  await other.getByRole("button", { name: "Log in" }).click();
  await other.getByText("Your token lacks the permission access.write.").waitFor();
  expect(await other.getByRole("link", { name: "Tokens" }).count()).toBe(0);
});

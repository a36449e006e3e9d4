// Proves the page of users: find, see why, act, and see that it worked, by pointer and by keyboard.
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { expectAccessible, expectNarrow, logIn, SCHEMES } from "../support/console/browser.ts";
import { openConsole } from "../support/console/open-console.ts";
import { addUser, asOwner, ok } from "../support/logins.ts";
import { startServer } from "../support/servers/server-process.ts";

const { lockUser } = UserService.method;

const { server, door, browser } = await openConsole(startServer);

const users = (query = "") => `${server.url}/console/users${query}`;

test.each(SCHEMES)("an admin finds a user, locks them, sees it and unlocks them: %s", async (scheme) => {
  const id = await addUser(door, { id: `mallory-${scheme}`, names: [[`Mallory.${scheme}`]] });
  const page = await browser.visit(users(), { scheme });
  await logIn(page);
  await page.getByRole("searchbox").fill(`mallory.${scheme}`);
  const row = page.getByRole("row", { name: id });
  await row.waitFor();
  await page.getByText("1 user", { exact: true }).waitFor();
  await expectAccessible(page);
  await expectNarrow(page);

  await row.getByRole("button", { name: "Lock…" }).click();
  const dialog = page.getByRole("dialog", { name: `Lock ${id}` });
  await dialog.getByText("1 user would change.").waitFor();
  await expectAccessible(page);
  await dialog.getByLabel("Reason").fill("fraud");
  await dialog.getByLabel("For how long").selectOption("1 hour");
  await dialog.getByRole("button", { name: "Lock", exact: true }).click();
  await row.getByText("Locked").waitFor();
  expect(await row.innerText()).toMatch(/by hand\s*fraud/);

  await row.getByRole("button", { name: "Unlock…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Unlock", exact: true }).click();
  await row.getByText("Active").waitFor();
  expect(await page.getByRole("dialog").count()).toBe(0);
});

test("many users are locked at once: the preview and the outcome name those that do not change", async () => {
  for (const id of ["wave-1", "wave-2", "wave-3"]) await addUser(door, { id });
  ok(await door.call(lockUser, { id: "wave-2", reason: "bot" }, asOwner));
  const page = await browser.visit(users("?q=wave-"));
  await logIn(page);
  await page.getByLabel("Select the page").check();
  const bar = page.getByRole("region", { name: "3 users selected" });
  await bar.getByRole("button", { name: "Lock…", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Lock 3 users" });
  await dialog.getByText("2 users would change.").waitFor();
  await dialog.getByRole("listitem").filter({ hasText: "wave-2" }).getByText("USER_ALREADY_LOCKED").waitFor();
  await dialog.getByRole("button", { name: "Lock", exact: true }).click();
  await dialog.getByText("Done: 2 users changed.").waitFor();
  await expectAccessible(page);
  ok(await door.call(UserService.method.unlockUser, { id: "wave-2" }, asOwner));
  await dialog.getByRole("button", { name: "Try these again" }).click();
  await page.getByRole("dialog", { name: "Lock wave-2" }).getByText("1 user would change.").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Lock", exact: true }).click();
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  await page.getByRole("row", { name: "wave-2" }).getByText("Locked", { exact: true }).waitFor();
  for (const id of ["wave-1", "wave-2", "wave-3"]) {
    await page.getByRole("row", { name: id }).getByText("Locked", { exact: true }).waitFor();
  }
});

test("the keyboard alone finds a user, locks them and sees it", async () => {
  const id = await addUser(door, { id: "keyboard" });
  const page = await browser.visit(users());
  await logIn(page);
  // Keys work once the rows are there.
  await page.getByRole("row").nth(1).waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("keyb");
  await page.getByText("1 user", { exact: true }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Tab");
  const row = page.getByRole("row", { name: id });
  await row.waitFor();
  for (
    let presses = 0;
    presses < 40 && !(await row.getByRole("link").evaluate((link) => link === document.activeElement));
    presses++
  ) {
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("l");
  await page.getByRole("dialog").getByText("1 user would change.").waitFor();
  await page.keyboard.press("Enter");
  await row.getByText("Locked").waitFor();
});

test("the address has the whole state of the page", async () => {
  await addUser(door, { id: "found-by-address" });
  const page = await browser.visit(users("?q=found-by&state=active&sort=changed&desc=1"));
  await logIn(page);
  await page.getByRole("row", { name: "found-by-address" }).waitFor();
  expect(await page.getByRole("searchbox").inputValue()).toBe("found-by");
  expect(await page.getByRole("button", { name: /^Active/ }).getAttribute("aria-pressed")).toBe("true");
  await page.getByRole("button", { name: /^Locked/ }).click();
  await page.getByText("No user matches.").waitFor();
  expect(new URL(page.url()).searchParams.get("state")).toBe("locked");
});

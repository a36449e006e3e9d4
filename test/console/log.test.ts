// Proves the page of the log: filter, open, follow live without losing the place, and export.
import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { expectAccessible, expectNarrow, logIn, SCHEMES } from "../support/console/browser.ts";
import { openConsole } from "../support/console/open-console.ts";
import { addUser, asOwner, failLogins, ok } from "../support/logins.ts";
import { startServer } from "../support/servers/server-process.ts";

const { lockUser, unlockUser } = UserService.method;

const { server, door, browser } = await openConsole(startServer);

const log = (query = "") => `${server.url}/console/log${query}`;
/** The rows of events, without their fields. */
const rows = (page: Page) => page.locator("tbody tr:not(.fields)");
const isLive = (page: Page) => page.getByText("Live", { exact: true }).waitFor();

test.each(SCHEMES)("an admin finds who locked a user, and all about it: %s", async (scheme) => {
  const id = await addUser(door, { id: `mallory-${scheme}` });
  await failLogins(door, id, 2, { address: "203.0.113.7", userAgent: "Bot/3" });
  ok(await door.call(lockUser, { id, reason: "fraud", note: "Called from a stolen phone." }, asOwner));
  const page = await browser.visit(log(), { scheme });
  await logIn(page);
  await page
    .getByRole("row", { name: /Locked by hand/ })
    .filter({ hasText: id })
    .waitFor();
  await expectAccessible(page);

  await page.getByRole("button", { name: "All events" }).click();
  const types = page.getByRole("region", { name: "Types of events" });
  await types.getByRole("searchbox").fill("wrong");
  expect(await types.getByRole("listitem").allInnerTexts()).toEqual([expect.stringMatching(/Wrong password.*[24]/s)]);
  await types.getByRole("searchbox").fill("lock");
  await types.getByRole("checkbox", { name: /user\.locked/ }).check();
  await expectAccessible(page);
  await page.keyboard.press("Escape");
  await page.getByLabel("Users").fill(id);
  await page.keyboard.press("Enter");
  await page.getByText("1 event shown", { exact: true }).waitFor();
  expect(Object.fromEntries(new URL(page.url()).searchParams)).toEqual({ type: "user.locked", user: id });

  await page.getByRole("button", { name: `All fields: Locked, ${id}` }).click();
  const fields = page.locator("tr.fields");
  expect(await fields.innerText()).toMatch(/Called from a stolen phone\./);
  expect(await fields.innerText()).toMatch(/LOCK_CAUSE_MANUAL/);
  await expectAccessible(page);
  await expectNarrow(page);
  await fields.getByRole("link", { name: "What else happened within 5 minutes" }).click();
  await rows(page).filter({ hasText: "Wrong password" }).filter({ hasText: id }).first().waitFor();
  expect([...new URL(page.url()).searchParams.keys()]).toEqual(["since", "before"]);
  expect(await rows(page).filter({ hasText: id }).first().getByRole("link", { name: id }).getAttribute("href")).toBe(
    `/console/users/${id}`,
  );
});

test("new events appear on top if they match, and wait while someone reads", async () => {
  for (const id of ["live-1", "live-2"]) await addUser(door, { id });
  const page = await browser.visit(log("?user=live-1"));
  await logIn(page);
  await isLive(page);
  await rows(page).filter({ hasText: "Created" }).waitFor();
  ok(await door.call(lockUser, { id: "live-2", reason: "bot" }, asOwner));
  ok(await door.call(lockUser, { id: "live-1", reason: "bot" }, asOwner));
  await rows(page).first().filter({ hasText: "Locked" }).waitFor();
  expect(await rows(page).count()).toBe(2);

  await page.getByRole("button", { name: "All fields: Created" }).click();
  const place = await page.locator("tr.fields").boundingBox();
  ok(await door.call(unlockUser, { id: "live-1" }, asOwner));
  await page.getByRole("button", { name: "1 new event" }).waitFor();
  expect(await page.locator("tr.fields").boundingBox()).toEqual(place);
  expect(await rows(page).count()).toBe(2);
  await page.getByRole("button", { name: "1 new event" }).click();
  await rows(page).first().filter({ hasText: "Unlocked" }).waitFor();

  await page.getByLabel("Show new events").uncheck();
  expect(new URL(page.url()).searchParams.get("live")).toBe("off");
  await rows(page).nth(2).waitFor();
  ok(await door.call(lockUser, { id: "live-1", reason: "bot" }, asOwner));
  await page.getByLabel("Show new events").check();
  await rows(page).nth(3).waitFor();
});

test("older events follow by the button, and the file has all that match", async () => {
  const id = await addUser(door, { id: "many" });
  for (let round = 0; round < 60; round++) {
    ok(await door.call(lockUser, { id, reason: "bot", note: '=1+1, "hi"' }, asOwner));
    ok(await door.call(unlockUser, { id }, asOwner));
  }
  const page = await browser.visit(log("?user=many"));
  await logIn(page);
  await page.getByText("100 events shown, there are older ones").waitFor();
  await page.getByRole("button", { name: "Show older events" }).click();
  await page.getByText("121 events shown", { exact: true }).waitFor();
  expect(await rows(page).last().innerText()).toContain("Created");

  const saved = async (format: string) => {
    await page.getByRole("button", { name: "Export…" }).click();
    const dialog = page.getByRole("dialog", { name: "Export the log" });
    await dialog.getByLabel(format).check();
    await expectAccessible(page);
    const download = page.waitForEvent("download");
    await dialog.getByRole("button", { name: "Export", exact: true }).click();
    const file = await download;
    await dialog.getByText("Saved 121 events.").waitFor();
    await dialog.getByRole("button", { name: "Close" }).last().click();
    return { name: file.suggestedFilename(), text: readFileSync(await file.path(), "utf8") };
  };
  const csv = await saved("CSV");
  expect(csv.name).toMatch(/^userlock-events-.*\.csv$/);
  expect(csv.text.split("\r\n").length).toBe(1 + 121 + 1);
  expect(csv.text).toContain(`"'=1+1, ""hi"""`);
  const ndjson = await saved("NDJSON");
  const events = ndjson.text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect([events.length, events[1].type, events[1].lock.note]).toEqual([121, "user.locked", '=1+1, "hi"']);
});

test("an export stops, and goes on or saves what it has", async () => {
  const page = await browser.visit(log("?user=many"));
  await logIn(page);
  await page.getByText("100 events shown").waitFor();
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  await page.route("**/ListEvents*", async (route) => {
    await held;
    await route.continue().catch(() => {});
  });
  await page.getByRole("button", { name: "Export…" }).click();
  const dialog = page.getByRole("dialog", { name: "Export the log" });
  await dialog.getByRole("button", { name: "Export", exact: true }).click();
  await dialog.getByRole("progressbar").waitFor();
  await dialog.getByRole("button", { name: "Stop" }).click();
  await dialog.getByText("Stopped after 0 events.").waitFor();
  release();
  const download = page.waitForEvent("download");
  await dialog.getByRole("button", { name: "Go on" }).click();
  expect((await download).suggestedFilename()).toMatch(/\.csv$/);
});

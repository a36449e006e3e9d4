// Proves the page of one user: see both axes, why and until when, act, and see it at once, with what happened before.
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { tokenMaker } from "../support/access.ts";
import { expectAccessible, logIn, SCHEMES } from "../support/console/browser.ts";
import { openConsole } from "../support/console/open-console.ts";
import {
  addUser,
  asOwner,
  byName,
  failLogins,
  ok,
  openSession,
  outcomeOf,
  logIn as tryLogin,
} from "../support/logins.ts";
import { ADMIN_TOKEN, startServer } from "../support/servers/server-process.ts";

const { getUser, lockUser, unlockUser, deactivateUser } = UserService.method;

const { server, door, browser } = await openConsole(startServer);

const pageOf = (id: string, query = "") => `${server.url}/console/users/${id}${query}`;
const userOf = async (id: string) => (await door.call(getUser, { id }, asOwner)).response?.user;

test.each(SCHEMES)("an admin sees why a user is locked and unlocks them: %s", async (scheme) => {
  const id = await addUser(door, { id: `grace-${scheme}`, names: [[`Grace.${scheme}`]] });
  ok(await door.call(deactivateUser, { id }, asOwner));
  const duration = { seconds: 200_000n, nanos: 0 };
  const lock = { id, reason: "fraud", note: "Stolen phone", end: { case: "duration" as const, value: duration } };
  ok(await door.call(lockUser, lock, asOwner));
  const page = await browser.visit(pageOf(id), { scheme });
  await logIn(page);
  await page.getByRole("heading", { name: id, level: 1 }).waitFor();
  const card = page.getByRole("region", { name: "Lock", exact: true });
  const timer = card.getByRole("timer");
  expect(await timer.innerText()).toMatch(/^2 days, 7:3\d:\d\d left$/);
  for (const text of ["by hand", "fraud", "Stolen phone"]) await card.getByText(text, { exact: true }).waitFor();
  await card.getByText("They stay so after an unlock").waitFor();
  await expectAccessible(page);

  await card.getByRole("button", { name: "Change the lock…" }).click();
  const dialog = page.getByRole("dialog", { name: `Change the lock of ${id}` });
  expect(await dialog.getByLabel("Note").inputValue()).toBe("Stolen phone");
  await dialog.getByText("1 user would change.").waitFor();
  await dialog.getByLabel("For how long").selectOption("15 minutes");
  await dialog.getByRole("button", { name: "Change the lock", exact: true }).click();
  await card.getByText(/^0:1\d:\d\d left$/).waitFor();
  expect(await page.getByRole("dialog").count()).toBe(0);

  await page.keyboard.press("u");
  await page.getByRole("dialog").getByRole("button", { name: "Unlock", exact: true }).click();
  await card.getByText("because the user is inactive").waitFor();
  await card.getByRole("button", { name: "Activate…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Activate", exact: true }).click();
  await card.getByText("The user can log in.").waitFor();
  expect(await page.getByRole("dialog").count()).toBe(0);

  const timeline = page.getByRole("region", { name: "What happened" });
  await timeline.locator("strong", { hasText: "Unlocked" }).waitFor();
  await page.getByLabel("Type").selectOption("user.locked");
  await timeline.locator("strong", { hasText: "Unlocked" }).waitFor({ state: "detached" });
  expect(new URL(page.url()).searchParams.get("type")).toBe("user.locked");
  await timeline.getByText("Stolen phone").first().waitFor();
  const link = await timeline.getByRole("link", { name: "In the log" }).getAttribute("href");
  expect(link).toBe(`/console/log?user=${id}`);
});

test("what others do shows in the open page, and what one call did stands together", async () => {
  const id = await addUser(door, { id: "watched" });
  for (let round = 0; round < 10; round++) {
    ok(await door.call(lockUser, { id }, asOwner));
    ok(await door.call(unlockUser, { id }, asOwner));
  }
  const page = await browser.visit(pageOf(id));
  await logIn(page);
  await page.getByText("Live", { exact: true }).waitFor();
  const sessions = page.getByRole("region", { name: "Open sessions" });
  await sessions.getByText("No session is open.").waitFor();

  await openSession(door, id, { address: "203.0.113.7", userAgent: "Firefox/150" });
  const { sessionId } = await openSession(door, id, { address: "2001:db8::7" });
  await sessions.getByRole("row", { name: "203.0.113.7 Firefox/150" }).waitFor();
  await sessions.getByRole("row", { name: "2001:db8::7" }).waitFor();
  await sessions.getByRole("button", { name: `End session ${sessionId}` }).click();
  await sessions.getByRole("row", { name: "2001:db8::7" }).waitFor({ state: "detached" });
  await expectAccessible(page);

  await sessions.getByRole("button", { name: "End all…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "End sessions", exact: true }).click();
  await sessions.getByText("No session is open.").waitFor();

  await failLogins(door, id, 5);
  const card = page.getByRole("region", { name: "Lock", exact: true });
  await card.getByText("wrong passwords", { exact: true }).waitFor();
  await card.getByText(/^0:00:\d\d left$/).waitFor();
  const timeline = page.getByRole("region", { name: "What happened" });
  await timeline.getByText("Locked wrong passwords").waitFor();
  const calls = timeline.locator("ol > li").filter({ hasText: "Wrong password" });
  expect((await calls.allInnerTexts()).map((text) => text.match(/Wrong password|Locked|× \d/g))).toEqual([
    ["Wrong password", "Locked"],
    ["Wrong password", "× 4"],
  ]);
  const created = timeline.locator("strong", { hasText: "Created" });
  expect(await created.count()).toBe(0);
  await timeline.getByRole("button", { name: "Older events" }).click();
  await created.waitFor();
  expect(await timeline.getByRole("button", { name: "Older events" }).count()).toBe(0);
});

test("an admin changes the password, the names and the data, and deletes the user", async () => {
  const id = await addUser(door, { id: "heidi", names: [["heidi.old"]] });
  const page = await browser.visit(pageOf(id));
  await logIn(page);
  const dialog = page.getByRole("dialog");
  const region = (name: string) => page.getByRole("region", { name, exact: true });

  await region("User names").getByRole("button", { name: "Add a user name…" }).click();
  await expectAccessible(page);
  await dialog.getByLabel("User name").fill("heidi.new");
  await dialog.getByRole("button", { name: "Add" }).click();
  await region("User names").getByText("heidi.new", { exact: true }).waitFor();
  await region("User names").getByRole("button", { name: "Remove the user name heidi.old" }).click();
  await expectAccessible(page);
  await dialog.getByRole("button", { name: "Remove" }).click();
  await region("User names").getByText("heidi.old", { exact: true }).waitFor({ state: "detached" });

  await region("Password").getByRole("button", { name: "Set a password…" }).click();
  await expectAccessible(page);
  await dialog.getByRole("button", { name: "Suggest one" }).click();
  const password = await dialog.getByLabel("New password").inputValue();
  await dialog.getByRole("button", { name: "Set", exact: true }).click();
  await dialog.waitFor({ state: "detached" });
  const login = await tryLogin(door, { ...byName("heidi.new"), password });
  expect(login.response).toMatchObject({ changeRequired: true });

  await region("Data").getByRole("button", { name: "Edit…" }).click();
  await dialog.getByLabel("JSON object").fill('{"team": sales}');
  await dialog.getByText(/^This is not JSON/).waitFor();
  expect(await dialog.getByRole("button", { name: "Save" }).isDisabled()).toBe(true);
  await expectAccessible(page);
  await dialog.getByLabel("JSON object").fill("[1]");
  await dialog.getByText("This must be an object").waitFor();
  await dialog.getByLabel("JSON object").fill('{"team": "sales"}');
  await dialog.getByRole("button", { name: "Save" }).click();
  await region("Data").getByText('"team": "sales"').waitFor();
  expect((await userOf(id))?.data).toEqual({ team: "sales" });

  await region("Delete").getByRole("button").click();
  const submit = dialog.getByRole("button", { name: "Delete", exact: true });
  expect(await submit.isDisabled()).toBe(true);
  await expectAccessible(page);
  await dialog.getByLabel(`Type ${id} to confirm`).fill(id);
  await submit.click();
  await page.getByRole("heading", { name: "There is no such user" }).waitFor();
  await page.getByRole("region", { name: "What happened" }).locator("strong", { hasText: "Deleted" }).waitFor();
  await expectAccessible(page);
  expect(outcomeOf(await door.call(getUser, { id }, asOwner))).toBe("NOT_FOUND USER_NOT_FOUND");
  // The browser itself reports each answer 404.
  const others = browser.messages.filter((message) => !message.includes("404"));
  browser.messages.splice(0, Number.POSITIVE_INFINITY, ...others);
});

test("without event.read the page shows the new state after an action, and without user.write it offers no change", async () => {
  const id = await addUser(door, { id: "ivan", organization: "acme" });
  const { secret } = await tokenMaker(server.url, ADMIN_TOKEN).create(
    "desk",
    ["ORG_VIEWER", "acme"],
    ["LOGIN_CLIENT", "acme"],
  );
  await openSession(door, id);
  const page = await browser.visit(pageOf(id));
  await logIn(page, secret);
  await page.getByRole("link", { name: "acme" }).waitFor();
  const sessions = page.getByRole("region", { name: "Open sessions" });
  const buttons = page.getByRole("main").getByRole("button");
  expect(await buttons.allInnerTexts()).toEqual(["End", "End all…"]);
  const end = { case: "duration" as const, value: { seconds: 5n, nanos: 0 } };
  ok(await door.call(lockUser, { id, end }, asOwner));
  await page.reload();
  const card = page.getByRole("region", { name: "Lock", exact: true });
  await card.getByText("Logins are refused.").waitFor();
  await card.getByText("The user can log in.").waitFor();
  await openSession(door, id);
  await page.reload();
  await sessions.getByRole("button", { name: "End session" }).click();
  await sessions.getByText("No session is open.").waitFor();
  expect(await page.getByRole("region", { name: "What happened" }).count()).toBe(0);
});

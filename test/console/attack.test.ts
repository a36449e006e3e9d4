// Proves the page of attacks: whether one is running, against whom and from where, live, and what can be done.
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { expectAccessible, logIn, SCHEMES } from "../support/console/browser.ts";
import { openConsole } from "../support/console/open-console.ts";
import { addUser, asOwner, failLogins, ok, setPolicy } from "../support/logins.ts";
import { QUICK, startServer } from "../support/servers/server-process.ts";

const { server, door, browser } = await openConsole(() => startServer({}, QUICK));

beforeAll(async () => {
  await setPolicy(door, { maxAttempts: 3 });
});

test("an operator sees an attack begin, whom it meets and from where, and locks those users", async () => {
  const page = await browser.visit(`${server.url}/console/attack`);
  await logIn(page);
  await page.getByRole("heading", { name: "Quiet" }).waitFor();
  await page.getByText("Live", { exact: true }).waitFor();
  await page.getByText("No failures.").first().waitFor();
  await expectAccessible(page);

  for (const id of ["alice", "bob", "carol", "dave"]) await addUser(door, { id });
  await failLogins(door, "alice", 2);
  await page.getByRole("row", { name: "alice" }).waitFor();
  for (const id of ["alice", "bob", "carol"]) await failLogins(door, id, id === "alice" ? 1 : 3);
  await failLogins(door, "dave", 1);
  await page.getByRole("heading", { name: "Under attack" }).waitFor();
  const verdict = page.getByRole("region", { name: "Under attack" });
  await verdict.getByText("10 failures in the last 10 minutes.").waitFor();
  expect(await verdict.innerText()).toContain("Wrong passwords locked 3 users.");
  expect(await verdict.innerText()).toMatch(/From one network\s*127\.0\.0\.0\/24 10 of 10, against 4 users/);
  const locks = page.getByRole("region", { name: "Locks in the last hour" });
  expect(await locks.innerText()).toMatch(/wrong passwords\s*3\s*by hand\s*0/);

  const users = page.getByRole("region", { name: "Users with the most failures" });
  expect(await users.getByRole("row", { name: "carol" }).innerText()).toMatch(/carol\s*3\s*1\s.*wrong passwords/s);
  await page.getByText("As a table").click();
  const minutes = page.getByRole("table", { name: "Failures a minute" });
  expect(await minutes.getByRole("row").count()).toBe(61);
  const counts = await minutes.getByRole("cell").allInnerTexts();
  expect(counts.reduce((sum, count) => sum + Number(count), 0)).toBe(13);

  await users.getByRole("button", { name: "Lock all of these (4)…" }).click();
  const dialog = page.getByRole("dialog", { name: "Lock 4 users" });
  await dialog.getByText("4 users would change.").waitFor();
  await dialog.getByLabel("Reason").fill("attack");
  await dialog.getByRole("button", { name: "Lock", exact: true }).click();
  await dialog.getByText("Done: 4 users changed.").waitFor();
  await dialog.getByRole("button", { name: "Close" }).last().click();
  await users.getByText("by hand").nth(3).waitFor();
  expect(await users.getByRole("button", { name: "Lock all" }).count()).toBe(0);
});

test.each(SCHEMES)("the page counts what happened before it was opened, and leads on: %s", async (scheme) => {
  const id = await addUser(door, { id: `before-${scheme}` });
  await failLogins(door, id, 2);
  ok(await door.call(UserService.method.lockUser, { id, reason: "support" }, asOwner));
  const page = await browser.visit(`${server.url}/console/attack?network=127.0.0.0%2F24`, { scheme });
  await logIn(page);
  const users = page.getByRole("region", { name: "Users with failures from 127.0.0.0/24" });
  const row = users.getByRole("row", { name: id });
  expect(await row.innerText()).toMatch(/2\s*1\s.*by hand/s);
  expect(await row.getByRole("link", { name: `Log of ${id}` }).getAttribute("href")).toBe(`/console/log?user=${id}`);
  await expectAccessible(page);
  const network = page.getByRole("button", { name: "127.0.0.0/24" });
  expect(await network.getAttribute("aria-pressed")).toBe("true");
  await network.click();
  expect(new URL(page.url()).search).toBe("");
  await page
    .getByRole("region", { name: "Users with the most failures" })
    .getByRole("link", { name: id, exact: true })
    .click();
  await page.getByRole("heading", { name: id, level: 1 }).waitFor();
});

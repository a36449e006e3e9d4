// Proves how an admin comes into the console and out of it: by a token, and by the link of `userlock console`.
import { type ConsoleBrowser, expectAccessible, logIn, openBrowser, SCHEMES } from "../support/console/browser.ts";
import { runUserlock } from "../support/servers/run-userlock.ts";
import { ADMIN_TOKEN, type ServerProcess, startServer, temporaryFolder } from "../support/servers/server-process.ts";

const folder = temporaryFolder();
const STORE = { USERLOCK_STORE: `sqlite:${folder.file("userlock.db")}` };
let server: ServerProcess;
let browser: ConsoleBrowser;

beforeAll(async () => {
  server = await startServer(STORE);
  browser = await openBrowser();
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
  folder.remove();
});

/** A link to the server, made beside it. */
async function makeLink(subject = "admin"): Promise<string> {
  const { stdout } = await runUserlock(["console", "--url", server.url, "--subject", subject], STORE);
  return stdout.trim();
}

/** Each refused log-in is an error in the browser's console. */
function expectRefusals(count: number): void {
  const refused = browser.messages.splice(0);
  // A call that was running at a logout is refused, too.
  expect(refused.length).toBeGreaterThanOrEqual(count);
  for (const message of refused) expect(message).toMatch(/^error: Failed to load resource: .* 401/);
}

test.each(SCHEMES)("an admin logs in by a token, reloads, and logs out: %s", async (scheme) => {
  const page = await browser.visit(`${server.url}/console/users`, { scheme });
  await page.getByLabel("Token", { exact: true }).fill("wrong-token-0123456789");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("alert").waitFor();
  await expectAccessible(page);
  expectRefusals(1);

  await logIn(page, `Bearer ${ADMIN_TOKEN}`);
  expect(await page.getByRole("alert").count()).toBe(0);
  await page.reload();
  await page.locator("header.top").waitFor();
  expect(await page.evaluate(() => document.cookie)).toBe("");
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("Token", { exact: true }).waitFor();
  await page.reload();
  await page.getByLabel("Token", { exact: true }).waitFor();
});

test("the link logs in once, and its code stays neither in the address nor in the history", async () => {
  const link = await makeLink();
  const page = await browser.visit(link);
  await page.locator(".who").getByText("admin").waitFor();
  expect(page.url()).toBe(`${server.url}/console/`);
  await page.goBack();
  expect(page.url()).not.toContain("code");

  const second = await browser.visit(link);
  await second.getByRole("alert").getByText("The link is used or too old.").waitFor();
  expect(second.url()).toBe(`${server.url}/console/`);
  expectRefusals(1);

  // The tab shows the console already, so only the fragment changes.
  await second.evaluate((to) => window.location.assign(to), await makeLink());
  await second.locator(".who").getByText("admin").waitFor();
  expect(second.url()).toBe(`${server.url}/console/`);

  // A link that is opened in place of another session is used up, too.
  const other = await makeLink("other-admin");
  await second.evaluate((to) => window.location.assign(to), other);
  await second.locator(".who").getByText("other-admin").waitFor();
  expect(second.url()).toBe(`${server.url}/console/`);
  await second.goto(`${other.split("#")[0]}users#${other.split("#")[1]}`);
  await second.locator(".who").getByText("other-admin").waitFor();
  expectRefusals(1);
});

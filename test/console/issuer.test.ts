// Proves that an admin logs in to the console at a published OpenID provider, and out at both.
import { type ConsoleBrowser, expectAccessible, openBrowser, SCHEMES } from "../support/console/browser.ts";
import { startProvider } from "../support/console/issuer.ts";
import { type ServerProcess, startServer } from "../support/servers/server-process.ts";

let issuer: Awaited<ReturnType<typeof startProvider>>;
let server: ServerProcess;
let browser: ConsoleBrowser;

beforeAll(async () => {
  issuer = await startProvider();
  server = await startServer(issuer.settings);
  await issuer.admit(server.url);
  browser = await openBrowser({ foreign: issuer.url });
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
  await issuer?.stop();
});

test.each(SCHEMES)("an admin logs in at the issuer, reloads, and logs out at both: %s", async (scheme) => {
  const page = await browser.visit(`${server.url}/console/users`, { scheme });
  const button = page.getByRole("button", { name: `Log in at ${new URL(issuer.url).host}` });
  await button.waitFor();
  await expectAccessible(page);
  await button.click();

  await page.locator("[name=login]").fill("ada");
  await page.locator("[name=password]").fill("any");
  await page.locator("[type=submit]").click();
  await page.getByRole("button", { name: "Continue" }).click();
  await page.locator(".who").getByText("ada").waitFor();
  expect(page.url()).toBe(`${server.url}/console/`);
  await page.reload();
  await page.locator(".who").getByText("ada").waitFor();

  await page.getByRole("button", { name: "Log out" }).click();
  await page.waitForURL(`${issuer.url}/**`);
  await page.getByRole("button", { name: /yes/i }).click();
  await button.waitFor();
  expect(page.url()).toBe(`${server.url}/console/`);
});

test("an admin who cancels at the issuer reads why the console does not open", async () => {
  const page = await browser.visit(`${server.url}/console/`);
  await page.getByRole("button", { name: /^Log in at/ }).click();
  await page.getByRole("link", { name: /cancel/i }).click();
  await page.getByRole("alert").getByText("The issuer did not let you in.").waitFor();
  expect(page.url()).toBe(`${server.url}/console/`);
  await expectAccessible(page);
});

// Proves that open pages stay true: many tabs with one stream, a server that restarts, a token that is revoked.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { AccessService, Role } from "../../gen/userlock/v3alpha/access_service_pb.ts";
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { openDoors } from "../support/clients/doors.ts";
import { type ConsoleBrowser, logIn, openBrowser } from "../support/console/browser.ts";
import { addUser, asOwner, ok } from "../support/logins.ts";
import { type ServerProcess, startServer } from "../support/servers/server-process.ts";

const { lockUser } = UserService.method;

let folder: string;
let server: ServerProcess;
let browser: ConsoleBrowser;

const start = (listen: string) =>
  startServer({ USERLOCK_STORE: `sqlite:${join(folder, "userlock.db")}`, USERLOCK_LISTEN: listen });
const door = () => openDoors(server.url)[0]!;
const isLive = (page: Page) => page.getByText("Live", { exact: true }).waitFor();
const lockedIn = (page: Page, id: string) => page.getByRole("row", { name: id }).getByText("Locked").waitFor();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "console-"));
  server = await start("127.0.0.1:0");
  browser = await openBrowser();
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
  rmSync(folder, { recursive: true });
});

test("seven tabs of a browser share one stream, and the next one takes over when its tab is closed", async () => {
  for (const id of ["tab-1", "tab-2"]) await addUser(door(), { id });
  const address = `${server.url}/console/users?q=tab-`;
  const first = await browser.visit(address);
  await logIn(first);
  // Six connections to one server are all that a browser opens over HTTP/1.1.
  const others: Page[] = [];
  for (let tab = 0; tab < 6; tab++) others.push(await browser.tab(first, address));
  for (const page of [first, ...others]) await isLive(page);
  ok(await door().call(lockUser, { id: "tab-1" }, asOwner));
  for (const page of [first, ...others]) await lockedIn(page, "tab-1");
  await first.close();
  ok(await door().call(lockUser, { id: "tab-2" }, asOwner));
  for (const page of others) await lockedIn(page, "tab-2");
});

test("a page resumes when its server is back, and shows what happened meanwhile", async () => {
  await addUser(door(), { id: "restarted" });
  const page = await browser.visit(`${server.url}/console/users?q=restarted`);
  await logIn(page);
  await isLive(page);
  const { host } = new URL(server.url);
  await server.stop("SIGKILL");
  await page.getByText("Reconnecting…").waitFor();
  server = await start(host);
  ok(await door().call(lockUser, { id: "restarted" }, asOwner));
  await lockedIn(page, "restarted");
  await isLive(page);
  // The browser reports each connection that fails.
  expect(
    browser.messages.splice(0).filter((message) => !/ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY/.test(message)),
  ).toEqual([]);
});

test("a page asks for a login once its token is revoked, and is back at its place after it", async () => {
  await addUser(door(), { id: "revoked" });
  const { createToken, revokeToken } = AccessService.method;
  const grants = [{ role: Role.INSTANCE_OWNER }];
  const { response } = await door().call(createToken, { subject: "console-admin", grants }, asOwner);
  const page = await browser.visit(`${server.url}/console/users?q=revoked`);
  await logIn(page, response!.token);
  await isLive(page);
  ok(await door().call(revokeToken, { tokenId: response!.details!.id }, asOwner));
  await page.getByRole("heading", { name: "Log in to userlock" }).waitFor();
  await logIn(page);
  await page.getByRole("row", { name: "revoked" }).waitFor();
  expect(browser.messages.splice(0).filter((message) => !/401/.test(message))).toEqual([]);
});

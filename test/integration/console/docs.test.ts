// Proves that the tables of docs/console.md agree with the code.
import { readConfig } from "../../../src/config/config.ts";
import { SETTINGS, type Setting } from "../../../src/config/settings.ts";
import { MAX_SESSION_MS } from "../../../src/transport/console/cookie.ts";
import { securityHeaders } from "../../../src/transport/console/files.ts";
import { CALLBACK, FLOW_MS } from "../../../src/transport/console/oidc.ts";
import { PAGES, rows } from "../../support/docs.ts";

const PAGE = PAGES.find(({ path }) => path === "docs/console.md")?.text as string;

test("the table of places has where each value of USERLOCK_CONSOLE serves the console", () => {
  const names = { main: "main port", admin: "admin listener", none: "nowhere" };
  const placeOf = (settings: Record<string, string>) => names[readConfig(settings).console ?? "none"];
  const expected = ["on", "public", "off"].map((value) => [
    `\`${value}\``,
    placeOf({ USERLOCK_CONSOLE: value }),
    placeOf({ USERLOCK_CONSOLE: value, USERLOCK_ADMIN_LISTEN: "127.0.0.1:9090" }),
  ]);
  expect(rows("Where it is").slice(1, 4)).toEqual(expected);
});

test("the table of settings has each setting of the console with its default and its description", () => {
  const own = (Object.entries(SETTINGS) as [string, Setting][]).filter(([name]) => /_(CONSOLE|OIDC_\w+)$/.test(name));
  const expected = own.map(([name, setting]) => [
    `\`${name}\``,
    setting.default === undefined ? "" : `\`${setting.default}\``,
    setting.description,
  ]);
  expect(rows("Settings of the console").slice(1)).toEqual(expected);
});

test("the table of headers has each header of the console's answers", () => {
  const written = rows("What protects it").filter(([, ...values]) => values.length === 1);
  const expected = Object.entries(securityHeaders("http")).map(([name, value]) => [`\`${name}\``, `\`${value}\``]);
  expect(written.slice(1)).toEqual(expected);
  expect(Object.keys(securityHeaders("https"))).toEqual([
    ...expected.map(([name]) => name?.replaceAll("`", "")),
    "strict-transport-security",
  ]);
});

test("the page has the times and the address of the code", () => {
  expect(PAGE).toContain(`${MAX_SESSION_MS / 3_600_000} hours at most | \`Path=/\``);
  expect(PAGE).toContain(`| ${FLOW_MS / 60_000} minutes |`);
  expect(PAGE).toContain(`https://HOST${CALLBACK}`);
});

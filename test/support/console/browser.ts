import { readFileSync } from "node:fs";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { launchChromium } from "../servers/chromium.ts";
import { ADMIN_TOKEN } from "../servers/server-process.ts";

export type Scheme = "light" | "dark";
export const SCHEMES: readonly Scheme[] = ["light", "dark"];

/** A browser of tests. Whatever its pages write to their console, and whatever they throw, fails `close`. */
export interface ConsoleBrowser {
  /** Opens a page of a new visitor, who is not logged in. */
  visit(url: string, options?: Visit): Promise<Page>;
  /** Opens one more tab of the same visitor. */
  tab(page: Page, url: string): Promise<Page>;
  /** What the pages wrote so far. A test that expects messages removes them. */
  messages: string[];
  close(): Promise<void>;
}

export interface Visit {
  scheme?: Scheme;
  width?: number;
  locale?: string;
}

/** Opens a browser. Messages of pages below `foreign` are not the console's and do not count. */
export async function openBrowser({ foreign }: { foreign?: string } = {}): Promise<ConsoleBrowser> {
  const browser: Browser = await launchChromium();
  const messages: string[] = [];
  const watched = async (context: BrowserContext, url: string) => {
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    page.on("console", (message) => {
      const isForeign = foreign !== undefined && page.url().startsWith(foreign);
      if (!isForeign) messages.push(`${message.type()}: ${message.text()}`);
    });
    page.on("pageerror", ({ message }) => messages.push(`thrown: ${message}`));
    await page.goto(url);
    return page;
  };
  return {
    messages,
    async visit(url, { scheme = "light", width = 1280, locale = "en-US" } = {}) {
      const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height: 900 }, locale });
      return watched(context, url);
    },
    tab: (page, url) => watched(page.context(), url),
    async close() {
      await browser.close();
      expect(messages).toEqual([]);
    },
  };
}

/** Logs in by a token. */
export async function logIn(page: Page, token = ADMIN_TOKEN): Promise<void> {
  await page.getByLabel("Token", { exact: true }).fill(token);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.locator("header.top").waitFor();
  await page.locator("#main h1").waitFor();
}

/** Fails if the page is wider than a narrow window (WCAG 2.2, 1.4.10), or hides a part of a table there. */
export async function expectNarrow(page: Page): Promise<void> {
  const before = page.viewportSize() ?? { width: 1280, height: 900 };
  await page.setViewportSize({ width: 400, height: 900 });
  const tooWide = await page.evaluate(() =>
    [document.documentElement, ...document.querySelectorAll("main section, .table")]
      .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)
      .map(({ tagName, className, scrollWidth }) => `${tagName}.${className}: ${scrollWidth}`),
  );
  await page.setViewportSize(before);
  expect(tooWide).toEqual([]);
}

const AXE = readFileSync("node_modules/axe-core/axe.min.js", "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"];

/** Fails if the page breaks a rule of accessibility (axe: WCAG 2.2, levels A and AA, and best practices). */
export async function expectAccessible(page: Page): Promise<void> {
  await page.evaluate(AXE);
  const violations = await page.evaluate(async (runOnly) => {
    const { axe } = globalThis as unknown as {
      axe: {
        run(
          root: Document,
          options: object,
        ): Promise<{ violations: { id: string; nodes: { html: string; failureSummary?: string }[] }[] }>;
      };
    };
    const found = await axe.run(document, { runOnly });
    return found.violations.map(({ id, nodes }) => ({ id, html: nodes[0]?.html, why: nodes[0]?.failureSummary }));
  }, RULES);
  expect(violations).toEqual([]);
}

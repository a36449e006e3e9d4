import { signal } from "@preact/signals";

/** The page's address. It has the whole state of a page, so that it can be sent to a colleague. */
export const address = signal(new URL(window.location.href));

const HOME = "/console/";

addEventListener("popstate", () => {
  address.value = new URL(window.location.href);
});

/** The parts of the path below /console/, decoded: `["users", "42"]`. */
export function placeOf({ pathname }: URL): string[] {
  return pathname.slice(HOME.length).split("/").filter(Boolean).map(decodeURIComponent);
}

/** The address of a page of the console. */
export function pathTo(...parts: string[]): string {
  return HOME + parts.map(encodeURIComponent).join("/");
}

/** Shows another page. `isReplacing`: the back button skips the present one. */
export function go(to: string, { isReplacing = false } = {}): void {
  const url = new URL(to, window.location.href);
  if (isReplacing) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
  address.value = url;
}

/** The same address with other parameters. An empty one is removed. */
export function withQuery(from: URL, changes: Record<string, string>): URL {
  const url = new URL(from);
  for (const [name, value] of Object.entries(changes)) {
    if (value === "") url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  return url;
}

/** Changes parameters of the present page's query. An empty one is removed. */
export function setQuery(changes: Record<string, string>, options?: { isReplacing?: boolean }): void {
  go(withQuery(address.value, changes).href, options);
}

/** Follows links of the console without loading the page again. */
export function interceptLinks(): void {
  document.addEventListener("click", (event) => {
    const link = (event.target as Element).closest?.("a");
    const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !isPlain || link.target || link.hasAttribute("download")) return;
    const url = new URL(link.href);
    if (url.origin !== window.location.origin || !url.pathname.startsWith(HOME)) return;
    event.preventDefault();
    go(url.href);
    scrollTo(0, 0);
    // A screen reader reads the new page.
    requestAnimationFrame(() => document.getElementById("main")?.focus());
  });
}

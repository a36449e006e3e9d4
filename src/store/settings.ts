/** Host, port and database of an address, which may be shown. */
export function addressOf(url: string): string {
  if (!URL.canParse(url)) return "the given address";
  const { host, pathname } = new URL(url);
  return `${host || "localhost"}${pathname}`;
}

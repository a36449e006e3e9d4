import type { AddressInfo } from "node:net";

/** Prints the peer's address, and exits cleanly on SIGTERM so that its profile is written. */
export function announce({ port }: Pick<AddressInfo, "port">): void {
  process.once("SIGTERM", () => process.exit());
  console.log(`listening on http://127.0.0.1:${port}`);
}

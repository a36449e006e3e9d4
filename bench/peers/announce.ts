import type { AddressInfo } from "node:net";

/** Says where a peer listens, and has it end in order when it is told to, so that a profile of it is written. */
export function announce({ port }: Pick<AddressInfo, "port">): void {
  process.once("SIGTERM", () => process.exit());
  console.log(`listening on http://127.0.0.1:${port}`);
}

import type { UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { plainResponse } from "./status.ts";

/** The probes of orchestrators and balancers, open to anybody: `/healthz` (alive) and `/readyz` (can serve). */
export type WebDoor = (request: UniversalServerRequest) => Promise<UniversalServerResponse> | undefined;

export function createWebDoor(isReady: () => Promise<boolean>): WebDoor {
  const probes: Record<string, () => Promise<boolean>> = { "/healthz": async () => true, "/readyz": isReady };
  return (request) => {
    const probe = probes[new URL(request.url).pathname];
    return probe && request.method === "GET" ? answer(probe) : undefined;
  };
}

async function answer(probe: () => Promise<boolean>): Promise<UniversalServerResponse> {
  const good = await probe();
  const header = new Headers({ "content-type": "text/plain; charset=utf-8" });
  return plainResponse(good ? 200 : 503, header, good ? "ok\n" : "not ready\n");
}

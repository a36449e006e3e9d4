import type { UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { plainResponse, wrongVerb } from "./status.ts";

/** The probes of orchestrators and balancers, open to anybody: `/healthz` (alive) and `/readyz` (can serve). */
export type WebDoor = (request: UniversalServerRequest) => Promise<UniversalServerResponse> | undefined;

const PROBE_VERBS = ["GET", "HEAD"];

export function createWebDoor(isReady: () => Promise<boolean>): WebDoor {
  const probes: Record<string, () => Promise<boolean>> = { "/healthz": async () => true, "/readyz": isReady };
  return (request) => {
    const probe = probes[new URL(request.url).pathname];
    if (!probe) return undefined;
    return PROBE_VERBS.includes(request.method) ? answer(probe) : Promise.resolve(wrongVerb(PROBE_VERBS));
  };
}

async function answer(probe: () => Promise<boolean>): Promise<UniversalServerResponse> {
  const good = await probe();
  const header = new Headers({ "content-type": "text/plain; charset=utf-8" });
  return plainResponse(good ? 200 : 503, header, good ? "ok\n" : "not ready\n");
}

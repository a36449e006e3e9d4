import type { UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { plainResponse, wrongVerb } from "./status.ts";

/** The probes of orchestrators and balancers, open to anybody: `/healthz` (alive) and `/readyz` (can serve). */
export type WebDoor = (request: UniversalServerRequest) => Promise<UniversalServerResponse> | undefined;

export function createWebDoor(isReady: () => Promise<boolean>): WebDoor {
  const probes: Record<string, () => Promise<boolean>> = { "/healthz": async () => true, "/readyz": isReady };
  return (request) => {
    const probe = probes[new URL(request.url).pathname];
    if (!probe) return undefined;
    const isHead = request.method === "HEAD";
    return request.method === "GET" || isHead ? answer(probe, isHead) : Promise.resolve(wrongVerb(["GET", "HEAD"]));
  };
}

async function answer(probe: () => Promise<boolean>, isHead: boolean): Promise<UniversalServerResponse> {
  const good = await probe();
  const header = new Headers({ "content-type": "text/plain; charset=utf-8" });
  const response = plainResponse(good ? 200 : 503, header, good ? "ok\n" : "not ready\n");
  if (isHead) delete response.body;
  return response;
}

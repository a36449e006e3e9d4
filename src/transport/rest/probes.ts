import type { Answer } from "../http/exchange.ts";
import { plainAnswer, wrongVerb } from "../http/status.ts";

/** The probes of orchestrators and load balancers, without a token: `/healthz` (alive) and `/readyz` (can serve). */
export type ProbesDoor = (verb: string, path: string) => Promise<Answer> | Answer | undefined;

export function createProbesDoor(isReady: () => Promise<boolean>): ProbesDoor {
  const probes = new Map([
    ["/healthz", async () => true],
    ["/readyz", isReady],
  ]);
  return (verb, path) => {
    const probe = probes.get(path);
    if (!probe) return undefined;
    return verb === "GET" ? answer(probe) : wrongVerb(["GET"]);
  };
}

async function answer(probe: () => Promise<boolean>): Promise<Answer> {
  const good = await probe();
  return plainAnswer(good ? 200 : 503, { "content-type": "text/plain; charset=utf-8" }, good ? "ok\n" : "not ready\n");
}

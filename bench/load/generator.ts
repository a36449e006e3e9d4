import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import type { Bench } from "../support/compare.ts";
import { temporaryFolder } from "../support/files.ts";
import { callingOf, rateOf } from "../support/lock-rate.ts";
import { startPeer } from "../support/program.ts";
import { TOKEN } from "../support/server.ts";
import { CALLS } from "../support/sizes.ts";
import { show } from "../support/statistics.ts";
import { idOf } from "../support/users.ts";
import { grpcWires } from "./http2-wire.ts";
import { lockCallsByGrpc } from "./lock-calls.ts";

const connections = 4;
const inFlight = 64;

async function startTarget() {
  const peer = await startPeer("http2");
  return { peer, calls: lockCallsByGrpc({ url: peer.url, token: TOKEN }, idOf) };
}

/**
 * Measures whether the load generator is a bottleneck. Both generators call a server on bare node:http2 that does
 * nothing. h2load (Debian's nghttp2-client) is written in C++ and sends the same body with every call.
 */
export const generator: Bench = {
  name: "calls of our generator ÷ h2load's",
  async ours() {
    const { peer, calls } = await startTarget();
    return rateOf(callingOf(peer, await grpcWires(calls, 0)), { connections, inFlight });
  },
  async theirs() {
    const { peer, calls } = await startTarget();
    const body = temporaryFolder().file("body");
    writeFileSync(body, calls.body(0));
    const headers = Object.entries(calls.headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
    const amounts = ["-n", String(CALLS), "-c", String(connections), "-m", String(inFlight / connections)];
    const args = [...amounts, "-d", body, ...headers, `${peer.url}${calls.path}`];
    return {
      async sample() {
        // The child process inherits the core.
        const { stdout, error } = spawnSync("h2load", args, { encoding: "utf8" });
        if (!stdout?.includes(`status codes: ${CALLS} 2xx`)) {
          throw new Error(`h2load is not installed, or not every answer was OK: ${stdout}`, { cause: error });
        }
        const rate = Number(/, ([\d.]+) req\/s/.exec(stdout)?.[1]);
        return { values: [rate], line: `${show(rate)}/s` };
      },
      stop: peer.stop,
    };
  },
};

/**
 * Whether the generator of the load is in the way: the rate that it gets out of a server on bare node:http2 that does
 * nothing, as a ratio to what h2load (Debian's nghttp2-client) gets, which is written in C++ and sends the same body
 * with every call.
 *
 *   npm run bench:generator
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { temporaryFolder } from "./support/files.ts";
import { grpcWires } from "./support/http2-wire.ts";
import { lockCallsByGrpc } from "./support/lock-calls.ts";
import { CALLS, loadOf } from "./support/lock-rate.ts";
import { pinGenerator, startPeer } from "./support/program.ts";
import { measure, show } from "./support/rounds.ts";
import { TOKEN } from "./support/server.ts";
import { idOf } from "./support/users.ts";

const connections = 4;
const inFlight = 64;

pinGenerator();
const peer = await startPeer("http2");
const calls = lockCallsByGrpc({ url: peer.url, token: TOKEN }, idOf);
const open = await grpcWires(calls, 0);
const body = temporaryFolder().file("body");
writeFileSync(body, calls.body(0));

/** Calls a second. It inherits the core. */
function h2load(): number {
  const headers = Object.entries(calls.headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
  const amounts = ["-n", String(CALLS), "-c", String(connections), "-m", String(inFlight / connections)];
  const { stdout, error } = spawnSync("h2load", [...amounts, "-d", body, ...headers, `${peer.url}${calls.path}`], {
    encoding: "utf8",
  });
  if (!stdout?.includes(`status codes: ${CALLS} 2xx`)) {
    throw new Error(`h2load is not installed, or not every answer was OK: ${stdout}`, { cause: error });
  }
  return Number(/, ([\d.]+) req\/s/.exec(stdout)?.[1]);
}

async function round() {
  const ours = await loadOf(peer, open, { from: 0, count: CALLS, connections, inFlight });
  const theirs = h2load();
  return {
    value: ours.rate / theirs,
    line: `${show(ours.rate)}/s, ${show(ours.ownCpu)} µs of CPU a call beside the server's ${show(ours.serverCpu)} µs; h2load ${show(theirs)}/s`,
  };
}

await round();
await measure({ name: "calls of our generator ÷ h2load's" }, round);
await peer.stop();

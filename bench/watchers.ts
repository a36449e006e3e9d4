/**
 * How long it takes until the last of 1,000 watchers over gRPC hears of a lock, from the moment it is asked for, by
 * connect-node's async generators as a ratio to userlock, which makes it durable before.
 *
 *   npm run bench:watchers
 */
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { UserService } from "../gen/userlock/v3alpha/user_service_pb.ts";
import { openManyWatchers } from "../test/support/watch/many-watchers.ts";
import { type Program, pinGenerator, startPeer } from "./support/program.ts";
import { measure, show } from "./support/rounds.ts";
import { startBenchServer, TOKEN } from "./support/server.ts";
import { median } from "./support/statistics.ts";

const WATCHERS = Number(process.env.BENCH_WATCHERS ?? 1_000);
const LOCKS = Math.min(Number(process.env.BENCH_CALLS ?? 50), 50);

/** A function that makes a lock and resolves with the milliseconds until the last watcher has it. */
async function watched({ url }: Program): Promise<() => Promise<number>> {
  const users = createClient(UserService, createGrpcTransport({ baseUrl: url }));
  const headers = { authorization: `Bearer ${TOKEN}` };
  const watchers = await openManyWatchers(url, { token: TOKEN, count: WATCHERS, types: ["user.locked"] });
  let locks = 0;
  return async () => {
    const id = `victim-${locks++}`;
    if (url === server.url) await users.createUser({ user: { userId: id } }, { headers });
    const asked = performance.now();
    await users.lockUser({ id, reason: "fraud" }, { headers });
    return (await watchers.allHave(1 + locks)) - asked;
  };
}

async function timeOf(lock: () => Promise<number>): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < LOCKS; count++) times.push(await lock());
  return median(times);
}

pinGenerator();
const [server, peer] = [await startBenchServer(), await startPeer("connect-watch")];
const [ours, theirs] = [await watched(server), await watched(peer)];
await timeOf(ours);
await timeOf(theirs);
await measure(
  { name: `last of ${WATCHERS.toLocaleString("en")} watchers hears of a lock: connect's ÷ ours`, bound: 8, aim: 12 },
  async () => {
    const [a, b] = [await timeOf(ours), await timeOf(theirs)];
    return { value: b / a, line: `ours ${show(a)} ms, theirs ${show(b)} ms, in the median of ${LOCKS}` };
  },
);
await server.stop();
await peer.stop();
process.exit();

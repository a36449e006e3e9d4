import { Agent, request } from "node:http";
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { hash, verify } from "@node-rs/argon2";
import { SessionService } from "../../gen/userlock/v3alpha/session_service_pb.ts";
import { UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import type { Bench, Sample } from "../support/compare.ts";
import { headers, startBenchServer, usersOn } from "../support/server.ts";
import { CALLS } from "../support/sizes.ts";
import { median, quantile, show } from "../support/statistics.ts";

const LOCKS = Math.min(CALLS, 300);
/** More logins than the queue accepts, so it stays full. */
const LOGINS_AT_ONCE = 450;
/** The number of users who log in repeatedly, and the duration in milliseconds. */
const USERS = 32;
const LOGINS_MS = Math.min(CALLS, 4_000);
const PASSWORD = "correct horse battery staple";
/** The default of USERLOCK_ARGON2. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

// Node reads this when its thread pool is first used.
process.env.UV_THREADPOOL_SIZE ??= String(availableParallelism() + 4);

/** The effect of a flood of logins on other calls. */
export const hashQueue: Bench = {
  name: "LockUser while the queue of hashes is full ÷ on an idle server",
  parts: ["p50", "p99"],
  isLessBetter: true,
  isUnpinned: true,
  isOfCheckout: true,
  ours: (checkout) => lockingBeside(LOGINS_AT_ONCE, checkout),
  theirs: () => lockingBeside(0),
};

/** The share of the CPU that logins can use. The peer hashes with one thread for each core. */
export const logins: Bench = {
  name: "good logins ÷ bare argon2id",
  isUnpinned: true,
  isOfCheckout: true,
  async ours(checkout) {
    const server = await startBenchServer({ checkout, isPinned: false });
    const users = usersOn(server);
    const authenticators = { password: { type: { case: "hash", value: await hash(PASSWORD, COST) } } } as const;
    for (let user = 0; user < USERS; user++) {
      await users.createUser({ user: { userId: `user-${user}`, authenticators } }, { headers });
    }
    return { sample: () => rateOf(USERS, (worker) => logIn(server.url, `user-${worker}`)), stop: server.stop };
  },
  async theirs() {
    const ownHash = await hash(PASSWORD, COST);
    return { sample: () => rateOf(availableParallelism(), () => verify(ownHash, PASSWORD)), stop: async () => {} };
  },
};

/** Times of sequential LockUser calls during `flood` concurrent logins of unknown users, each of which costs a hash. */
async function lockingBeside(flood: number, checkout = ".") {
  const server = await startBenchServer({ checkout, isPinned: false });
  const users = createClient(UserService, createGrpcTransport({ baseUrl: server.url }));
  const sessions = createClient(SessionService, createGrpcTransport({ baseUrl: server.url }));
  await users.createUser({ user: { userId: "victim" } }, { headers });
  let flooding = false;

  async function floodOne(index: number): Promise<void> {
    const guess = { user: { case: "userId", value: `nobody-${index}` } as const, password: "guess" };
    while (flooding) await sessions.createSession(guess, { headers }).catch(() => {});
  }

  return {
    async sample() {
      flooding = true;
      const flooded = Promise.all(Array.from({ length: flood }, (_, index) => floodOne(index)));
      await sleep(500);
      const times: number[] = [];
      for (let call = 0; call < LOCKS; call++) {
        const started = performance.now();
        await users.lockUser({ id: "victim" }, { headers });
        times.push(performance.now() - started);
        await users.unlockUser({ id: "victim" }, { headers });
      }
      flooding = false;
      await flooded;
      const values = [median(times), quantile(times, 0.99)];
      return { values, line: `${values.map(show).join(", ")} ms` };
    },
    stop: server.stop,
  };
}

/** The rate at which `workers` concurrent workers complete `work`. */
async function rateOf(workers: number, work: (worker: number) => Promise<unknown>): Promise<Sample> {
  let done = 0;
  const started = performance.now();
  const loop = async (worker: number) => {
    while (performance.now() - started < LOGINS_MS) {
      await work(worker);
      done++;
    }
  };
  await Promise.all(Array.from({ length: workers }, (_, worker) => loop(worker)));
  const rate = (done / (performance.now() - started)) * 1_000;
  return { values: [rate], line: `${show(rate)}/s` };
}

const agent = new Agent({ keepAlive: true });

/** A successful login over bare HTTP. The caller shares the cores with the server and must use little CPU. */
function logIn(url: string, userId: string): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const options = { method: "POST", agent, headers: { ...headers, "content-type": "application/json" } };
    request(`${url}/resources/v3alpha/sessions`, options, (response) => {
      if (response.statusCode !== 201) reject(new Error(`a login was answered with ${response.statusCode}`));
      response.resume().on("end", resolve);
    })
      .on("error", reject)
      .end(JSON.stringify({ userId, password: PASSWORD }));
  });
}

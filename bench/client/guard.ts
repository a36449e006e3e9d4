import { randomBytes } from "node:crypto";
import { exportJWK, generateKeyPair, jwtVerify, SignJWT } from "jose";
import { createDenySet } from "../../packages/client/src/guard/denied/deny-set.ts";
import { createHasher } from "../../packages/client/src/guard/denied/siphash.ts";
import { createGuard } from "../../packages/client/src/guard/guard.ts";
import type { Bench } from "../support/compare.ts";
import { headers, startBenchServer, TOKEN, usersOn } from "../support/server.ts";
import { CALLS } from "../support/sizes.ts";
import { show } from "../support/statistics.ts";

const TOKENS = 1_000;
const CHECKS = 50 * CALLS;
const VERIFICATIONS = Math.min(CALLS, 2_000);
const ISSUER = { issuer: "bench", audience: "app" };
const MEBIBYTE = 2 ** 20;
const DENIED = 1_000_000;

const { publicKey, privateKey } = await generateKeyPair("EdDSA");
const tokens = await Promise.all(
  Array.from({ length: TOKENS }, (_, number) =>
    new SignJWT({ iss: "bench", aud: "app", sub: `user-${number}`, exp: 4_000_000_000 })
      .setProtectedHeader({ alg: "EdDSA" })
      .sign(privateKey),
  ),
);

/** Checks of tokens that the guard knows, one after the other, with as many denied users. Jose verifies each anew. */
export const guard: Bench = {
  name: "guard.check for a verified JWT, µs",
  bound: 3,
  aim: 1,
  isLessBetter: true,
  async ours() {
    const server = await startBenchServer();
    const users = usersOn(server);
    const ids = Array.from({ length: TOKENS }, (_, number) => `denied-${number}`);
    await Promise.all(ids.map((userId) => users.createUser({ user: { userId } }, { headers })));
    await users.batchLockUsers({ ids, reason: "fraud" }, { headers });
    const jwks = { keys: [{ ...(await exportJWK(publicKey)), alg: "EdDSA" }] };
    const guard = createGuard({ url: server.url, token: TOKEN, jwt: { ...ISSUER, jwks } });
    await guard.ready;
    for (const token of tokens) await guard.check(token);
    return {
      async sample() {
        const start = performance.now();
        let admitted = 0;
        for (let call = 0; call < CHECKS; call++) {
          if ((await guard.check(tokens[call % TOKENS])).ok) admitted++;
        }
        const value = ((performance.now() - start) * 1_000) / CHECKS;
        if (admitted !== CHECKS) throw new Error(`the guard admitted ${admitted} of ${CHECKS}`);
        return { values: [value], line: `${show(value)} µs` };
      },
      async stop() {
        guard.close();
        await server.stop();
      },
    };
  },
  theirs: async () => ({
    async sample() {
      const start = performance.now();
      for (let call = 0; call < VERIFICATIONS; call++) {
        await jwtVerify(tokens[call % TOKENS] as string, publicKey, ISSUER);
      }
      const value = ((performance.now() - start) * 1_000) / VERIFICATIONS;
      return { values: [1], line: `1 µs; jose verifies one in ${show(value)} µs` };
    },
    stop: async () => {},
  }),
};

/** The set of denied users, beside a Set of their ids. */
export const guardMemory: Bench = {
  name: `memory of ${DENIED.toLocaleString("en")} denied users, MiB`,
  bound: 16,
  isLessBetter: true,
  warmUps: 0,
  ours: async () => ({
    async sample() {
      const set = createDenySet(createHasher(randomBytes(16)));
      for (let user = 0; user < DENIED; user++) set.add(`user-${user}`);
      const value = set.bytes / MEBIBYTE;
      return { values: [value], line: `${show(value)} MiB` };
    },
    stop: async () => {},
  }),
  theirs: async () => ({
    async sample() {
      const before = process.memoryUsage().heapUsed;
      const set = new Set<string>();
      for (let user = 0; user < DENIED; user++) set.add(`user-${user}`);
      const used = (process.memoryUsage().heapUsed - before) / MEBIBYTE;
      return { values: [1], line: `1 MiB; a Set of ${set.size} ids takes about ${show(used)} MiB` };
    },
    stop: async () => {},
  }),
};

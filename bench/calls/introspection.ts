import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { SessionService } from "../../gen/userlock/v3alpha/session_service_pb.ts";
import { http1Wires } from "../load/http1-wire.ts";
import type { Bench } from "../support/compare.ts";
import { callingOf, rateOf } from "../support/lock-rate.ts";
import { type Program, startPeer } from "../support/program.ts";
import { type BenchServer, headers, startBenchServer, usersOn } from "../support/server.ts";
import { CALLS } from "../support/sizes.ts";
import { idOf } from "../support/users.ts";

/** The number of users, each with a session. */
const SESSIONS = Math.min(CALLS, 1_000);

/** Introspection of session tokens (RFC 7662). */
export const introspection: Bench = {
  name: "introspection of a session over HTTP/1.1 ÷ Fastify's no-op",
  bound: 0.5,
  aim: 0.8,
  isOfCheckout: true,
  async ours(checkout) {
    const { server, tokens } = await startWithSessions(checkout);
    return introspecting(server, tokens);
  },
  theirs: async () => introspecting(await startPeer("fastify"), ["x".repeat(43)]),
};

/** A server with open sessions. Hashes are cheap, because checks of tokens do not hash passwords. */
export async function startWithSessions(checkout?: string): Promise<{ server: BenchServer; tokens: string[] }> {
  const server = await startBenchServer({ ...(checkout && { checkout }), env: { USERLOCK_ARGON2: "m=64,t=1,p=1" } });
  return { server, tokens: await openSessions(server) };
}

async function openSessions(server: Program): Promise<string[]> {
  const users = usersOn(server);
  const transport = createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" });
  const sessions = createClient(SessionService, transport);
  const tokens: string[] = [];
  for (let number = 0; number < SESSIONS; number++) {
    const userId = idOf(number);
    const password = "correct horse battery staple";
    const authenticators = {
      usernames: [{ username: userId }],
      password: { type: { case: "password", value: password } } as const,
    };
    await users.createUser({ user: { userId, authenticators } }, { headers });
    const request = { user: { case: "userId", value: userId } as const, password };
    tokens.push((await sessions.createSession(request, { headers })).sessionToken);
  }
  return tokens;
}

function introspecting(program: Program, tokens: string[]) {
  const open = http1Wires({
    url: program.url,
    path: "/oauth/v2/introspect",
    headers: { ...headers, "content-type": "application/x-www-form-urlencoded" },
    body: (call) => Buffer.from(`token=${tokens[call % tokens.length]}`),
    expected: () => '"active":true',
  });
  return rateOf(callingOf(program, open), { connections: 64, inFlight: 64 });
}

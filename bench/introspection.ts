/**
 * Introspection of sessions' tokens (RFC 7662) over HTTP/1.1 as a ratio to a server on Fastify that does nothing.
 *
 *   npm run bench:introspection
 */
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { SessionService } from "../gen/userlock/v3alpha/session_service_pb.ts";
import { UserService } from "../gen/userlock/v3alpha/user_service_pb.ts";
import { http1Wires } from "./support/http1-wire.ts";
import { CALLS, compareRates, loadOf } from "./support/lock-rate.ts";
import { type Program, pinGenerator, startPeer } from "./support/program.ts";
import { startBenchServer, TOKEN } from "./support/server.ts";
import { idOf } from "./support/users.ts";

/** As many users, each of whom has a session. */
const SESSIONS = Math.min(CALLS, 1_000);

pinGenerator();
// What a hash of a password costs is none of an introspection's business.
const server = await startBenchServer({ env: { USERLOCK_ARGON2: "m=64,t=1,p=1" } });
const peer = await startPeer("fastify");

const transport = createConnectTransport({ baseUrl: server.url, httpVersion: "1.1" });
const { headers } = server;
const [users, sessions] = [createClient(UserService, transport), createClient(SessionService, transport)];
const tokens: string[] = [];
for (let number = 0; number < SESSIONS; number++) {
  const userId = idOf(number);
  const password = "correct horse battery staple";
  const authenticators = {
    usernames: [{ username: userId }],
    password: { type: { case: "password", value: password } },
  };
  await users.createUser({ user: { userId, authenticators } } as never, { headers });
  const { sessionToken } = await sessions.createSession(
    { user: { case: "userId", value: userId }, password },
    { headers },
  );
  tokens.push(sessionToken);
}

function introspecting(program: Program) {
  const open = http1Wires({
    url: program.url,
    path: "/oauth/v2/introspect",
    headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/x-www-form-urlencoded" },
    body: (call) => Buffer.from(`token=${tokens[call % SESSIONS]}`),
    expected: () => '"active":true',
  });
  return {
    run: (how: { connections: number; inFlight: number }) => loadOf(program, open, { ...how, from: 0, count: CALLS }),
    memory: program.memory,
    stop: program.stop,
  };
}

await compareRates(
  { name: "introspection of a session over HTTP/1.1 ÷ Fastify's no-op", bound: 0.5, aim: 0.8 },
  [introspecting(server), introspecting(peer)],
  { connections: 64, inFlight: 64 },
);

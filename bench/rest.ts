/**
 * Locks by REST, JSON over HTTP/1.1, as a ratio to a server on Fastify that does nothing.
 *
 *   npm run bench:rest
 */
import { lockByRest } from "./support/lock-calls.ts";
import { compareLockRate } from "./support/lock-rate.ts";

await compareLockRate({
  name: "LockUser by JSON over HTTP/1.1 ÷ Fastify's no-op",
  bound: 0.5,
  aim: 0.8,
  door: lockByRest,
  peer: ["fastify"],
  connections: 64,
  inFlight: 64,
});

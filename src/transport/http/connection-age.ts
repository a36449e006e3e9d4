import type { Socket } from "node:net";
import type { Limits } from "../limits.ts";

/** The longest delay of a timer, milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const retirements = new WeakMap<object, AbortSignal>();

/** Aborts when the connection has reached its age. The connection is a socket, or a session of HTTP/2. */
export function retirementOf(connection: object | undefined): AbortSignal | undefined {
  return connection && retirements.get(connection);
}

/**
 * Retires a connection at its age, within 10 % of it at random: connections that began together then do not come back
 * together. Its event streams end, and its other requests have as long as a call may take. Cuts what is left.
 */
export function limitAge(connection: object, socket: Socket, { connectionAgeMs, callMs }: Limits): AbortSignal {
  const retirement = new AbortController();
  retirements.set(connection, retirement.signal);
  if (connectionAgeMs === 0) return retirement.signal;
  const ageMs = Math.min(connectionAgeMs * (0.9 + 0.2 * Math.random()), MAX_TIMER_MS);
  let timer = setTimeout(() => {
    timer = setTimeout(() => socket.destroy(), callMs).unref();
    retirement.abort();
  }, ageMs).unref();
  socket.on("close", () => clearTimeout(timer));
  return retirement.signal;
}

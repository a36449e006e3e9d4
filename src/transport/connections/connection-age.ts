import type { Socket } from "node:net";
import { refusal } from "../../rpc/errors.ts";
import type { Limits } from "../limits.ts";

/** The longest delay of a timer, milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const retirements = new WeakMap<object, AbortSignal>();

/** Aborts with CONNECTION_AGED when the connection has reached its age. The connection is a socket, or a session of HTTP/2. */
export function retirementOf(connection: object | undefined): AbortSignal | undefined {
  return connection && retirements.get(connection);
}

/**
 * Retires a connection at its age, within 10 % of it at random: connections that began together then do not come back
 * together. Its streams end, and its other requests have as long as a call may take. Then cuts it; a busy one, which
 * serves a request that came later, after that time once more.
 */
export function limitAge(
  connection: object,
  socket: Socket,
  { connectionAgeMs, callMs }: Pick<Limits, "connectionAgeMs" | "callMs">,
  isBusy: () => boolean = () => false,
): AbortSignal {
  const retirement = new AbortController();
  retirements.set(connection, retirement.signal);
  if (connectionAgeMs === 0) return retirement.signal;
  const ageMs = Math.min(connectionAgeMs * (0.9 + 0.2 * Math.random()), MAX_TIMER_MS);
  let timer = setTimeout(() => {
    const cut = () => socket.destroy();
    timer = setTimeout(() => {
      if (isBusy()) timer = setTimeout(cut, callMs).unref();
      else cut();
    }, callMs).unref();
    retirement.abort(refusal("CONNECTION_AGED", "The connection has reached its age. Call again on a new one."));
  }, ageMs).unref();
  socket.on("close", () => clearTimeout(timer));
  return retirement.signal;
}

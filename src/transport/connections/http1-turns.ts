import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

interface Connection {
  /** The number of running requests. Pipelining makes it more than one. */
  running: number;
  latest: ServerResponse;
  /** Whether the last answer is decided. */
  isEnding: boolean;
}

/** A request in the order of its HTTP/1.1 connection. */
export interface Turn {
  /** Whether its answer is the connection's last one, and must say so. */
  isLast(): boolean;
  /** Ends the turn. Returns whether no other request of the connection is running. */
  leave(): boolean;
}

/**
 * Decides which answer of an HTTP/1.1 connection is the last one: the latest once the connection is over, and that to a
 * request to upgrade, because Node drops what came in one packet behind it.
 */
export function createTurns(isOver: (socket: Socket) => boolean) {
  const connections = new WeakMap<Socket, Connection>();
  return {
    /**
     * Begins a turn. Undefined: the request must not be processed, because it came after the one whose answer closes
     * the connection (RFC 9112, section 9.6).
     */
    begin({ socket, headers }: IncomingMessage, response: ServerResponse): Turn | undefined {
      const connection = connections.get(socket) ?? { running: 0, latest: response, isEnding: false };
      if (connection.isEnding || socket.writableEnded) return undefined;
      connections.set(socket, connection);
      connection.running++;
      connection.latest = response;
      if (headers.upgrade !== undefined) connection.isEnding = true;
      return {
        isLast() {
          // A later request is running already. Its answer is the last one.
          if (connection.latest !== response) return false;
          connection.isEnding ||= isOver(socket);
          return connection.isEnding;
        },
        leave: () => --connection.running === 0,
      };
    },
    isRunning: (socket: Socket) => (connections.get(socket)?.running ?? 0) > 0,
    /** Processes no later request of the connection. */
    stop(socket: Socket): void {
      const connection = connections.get(socket);
      if (connection) connection.isEnding = true;
    },
  };
}

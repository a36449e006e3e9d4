import { request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";

/** How long the server may take to answer, milliseconds. */
const TIMEOUT_MS = 2_000;
/** The addresses that mean all addresses of the machine. */
const ANY: Record<string, string> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/**
 * Asks `/readyz` of the server that listens with these settings on this machine. Resolves with `ready`, or why not.
 * With TLS the certificate is not checked: its names are those that clients use.
 */
export function checkSelf({ host, port, tls }: { host: string; port: number; tls: unknown }): Promise<string> {
  const options = { host: ANY[host] ?? host, port, path: "/readyz", timeout: TIMEOUT_MS, agent: false };
  return new Promise((resolve) => {
    const request = tls ? tlsRequest({ ...options, rejectUnauthorized: false }) : plainRequest(options);
    request.on("response", (response) => {
      response.resume();
      resolve(response.statusCode === 200 ? "ready" : `not ready: /readyz answers ${response.statusCode}`);
    });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${TIMEOUT_MS / 1_000} s`)));
    request.on("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code === "ECONNREFUSED" ? "nothing listens there" : error.message);
    });
    request.end();
  });
}

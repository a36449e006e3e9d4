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
  const options = {
    host: ANY[host] ?? host,
    port,
    path: "/readyz",
    agent: false,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  };
  return new Promise((resolve) => {
    const request = tls ? tlsRequest({ ...options, rejectUnauthorized: false }) : plainRequest(options);
    request.on("response", (response) => {
      request.destroy();
      resolve(response.statusCode === 200 ? "ready" : `not ready: /readyz answers ${response.statusCode}`);
    });
    request.on("error", ({ code, name, message }: NodeJS.ErrnoException) => {
      if (code === "ECONNREFUSED") resolve("nothing listens there");
      else resolve(name === "AbortError" ? `no answer within ${TIMEOUT_MS / 1_000} s` : message);
    });
    request.end();
  });
}

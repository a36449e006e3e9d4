import type { DescService } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { UsageError } from "./arguments.ts";

/** Where the server is, if the environment does not say. */
export const DEFAULT_URL = "http://127.0.0.1:8080";

/** Exit codes of sysexits.h. */
export const EX_OK = 0;
export const EX_USAGE = 64;
export const EX_UNAVAILABLE = 69;
const EX_NOPERM = 77;
export const EX_REFUSED = 1;

/** Where the command line finds its server. */
export interface Environment {
  USERLOCK_URL?: string | undefined;
  USERLOCK_TOKEN?: string | undefined;
}

/** A client that waits so many milliseconds for an answer. Throws UsageError without a valid address and a token. */
export function clientOf<Service extends DescService>(
  service: Service,
  { USERLOCK_URL = DEFAULT_URL, USERLOCK_TOKEN }: Environment,
  defaultTimeoutMs = 15_000,
): Client<Service> {
  if (!URL.canParse(USERLOCK_URL)) throw new UsageError(`USERLOCK_URL is not a URL: ${USERLOCK_URL}`);
  if (!USERLOCK_TOKEN) {
    throw new UsageError(
      "USERLOCK_TOKEN is not set. On the server's machine: export USERLOCK_TOKEN=$(cat data/admin.token)",
    );
  }
  const transport = createConnectTransport({
    baseUrl: USERLOCK_URL,
    httpVersion: "1.1",
    defaultTimeoutMs,
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${USERLOCK_TOKEN}`);
        return next(request);
      },
    ],
  });
  return createClient(service, transport);
}

/** A sentence for people, with the reason by which it can be looked up, and the exit code that goes with it. */
export function explain(error: unknown): { message: string; exitCode: number } {
  if (error instanceof UsageError) return { message: error.message, exitCode: EX_USAGE };
  const { reason, message } = error as { reason?: string; message: string };
  if (reason !== undefined) return { message: `${reason}: ${message}`, exitCode: EX_REFUSED };
  const { code, rawMessage, cause } = ConnectError.from(error);
  const [info] = ConnectError.from(error).findDetails(ErrorInfoSchema);
  if (!info && cause) return { message: `the server does not answer: ${rawMessage}`, exitCode: EX_UNAVAILABLE };
  const exitCode = code === Code.Unauthenticated || code === Code.PermissionDenied ? EX_NOPERM : EX_REFUSED;
  return { message: info ? `${info.reason}: ${rawMessage}` : rawMessage, exitCode };
}

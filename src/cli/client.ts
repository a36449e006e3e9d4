import type { DescService } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import type { Environment } from "./frame/command.ts";
import { EX_NOPERM, EX_REFUSED, EX_SOFTWARE, EX_UNAVAILABLE, UsageError } from "./frame/errors.ts";

/** Where the server is, if the environment does not say. */
const DEFAULT_URL = "http://127.0.0.1:8080";

/** The server's address, without a slash at its end. Throws UsageError. */
export function addressOf({ USERLOCK_URL = DEFAULT_URL }: Environment): string {
  if (/^\w+:\/\/[^/]*@/.test(USERLOCK_URL)) {
    throw new UsageError("USERLOCK_URL must not have a user name or a password; the token goes to USERLOCK_TOKEN");
  }
  if (/^https?:\/\/./.test(USERLOCK_URL) && URL.canParse(USERLOCK_URL)) return USERLOCK_URL.replace(/\/+$/, "");
  const example = /^[\w.-]+(:\d+)?(\/|$)/.test(USERLOCK_URL) ? `http://${USERLOCK_URL}` : DEFAULT_URL;
  throw new UsageError(
    `USERLOCK_URL=${USERLOCK_URL} is not an address; begin it with http:// or https://, such as ${example}`,
  );
}

/** The caller's token. Throws UsageError without one. */
export function tokenOf({ USERLOCK_TOKEN }: Environment): string {
  if (USERLOCK_TOKEN && /^[\x21-\x7e]+$/.test(USERLOCK_TOKEN)) return USERLOCK_TOKEN;
  throw new UsageError(
    USERLOCK_TOKEN
      ? "USERLOCK_TOKEN has a character that no token has, such as a space or a line break"
      : "USERLOCK_TOKEN is not set. On the server's machine: export USERLOCK_TOKEN=$(cat data/admin.token)",
  );
}

/** A client that waits so many milliseconds for an answer, 0 for ever. Throws UsageError without an address and a token. */
export function clientOf<Service extends DescService>(
  service: Service,
  environment: Environment,
  defaultTimeoutMs = 15_000,
): Client<Service> {
  const baseUrl = addressOf(environment);
  const token = tokenOf(environment);
  const transport = createConnectTransport({
    baseUrl,
    httpVersion: "1.1",
    ...(defaultTimeoutMs > 0 && { defaultTimeoutMs }),
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  return createClient(service, transport);
}

const NETWORK_ERRORS: Record<string, string> = {
  ECONNREFUSED: "nothing listens at USERLOCK_URL",
  ECONNRESET: "the connection was cut",
  EHOSTUNREACH: "there is no way to the host",
  ENETUNREACH: "there is no way to the network",
  ENOTFOUND: "there is no such host",
  EAI_AGAIN: "the name of the host cannot be resolved now",
  ETIMEDOUT: "the host does not answer",
};

/** A sentence for people, with the reason by which it can be looked up, and the exit code that goes with it. */
export function explain(error: unknown): { message: string; exitCode: number } {
  const { reason, message } = error as { reason?: string; message: string };
  if (reason !== undefined) return { message: `${reason}: ${message}`, exitCode: EX_REFUSED };
  // A fault of the command line itself, not an answer.
  if (!(error instanceof ConnectError)) return { message: `unexpected error: ${message}`, exitCode: EX_SOFTWARE };
  const { code, rawMessage, cause } = error;
  const [info] = error.findDetails(ErrorInfoSchema);
  if (!info && cause) {
    const why = networkErrorOf(cause) ?? rawMessage;
    return { message: `the server does not answer: ${why}`, exitCode: EX_UNAVAILABLE };
  }
  const exitCode = code === Code.Unauthenticated || code === Code.PermissionDenied ? EX_NOPERM : EX_REFUSED;
  return { message: info ? `${info.reason}: ${rawMessage}` : rawMessage, exitCode };
}

/** What went wrong on the network, in words. */
function networkErrorOf(error: unknown): string | undefined {
  const { code, cause } = error as { code?: string; cause?: unknown };
  return NETWORK_ERRORS[code ?? ""] ?? (cause ? networkErrorOf(cause) : undefined);
}

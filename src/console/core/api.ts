import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { AccessService } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { EventService } from "../../../gen/userlock/v3alpha/event_service_pb.ts";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { SettingsService } from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";

let onLoggedOut = () => {};

/** Calls the listener when a call is refused because the session has ended. */
export function whenLoggedOut(listener: () => void): void {
  onLoggedOut = listener;
}

const noticeLogout: Interceptor = (next) => async (request) => {
  try {
    return await next(request);
  } catch (error) {
    if (ConnectError.from(error).code === Code.Unauthenticated) onLoggedOut();
    throw error;
  }
};

/** The browser adds the session's cookie. JSON would need a registry of the types of error details. */
const options = { baseUrl: window.location.origin, interceptors: [noticeLogout], useBinaryFormat: true };
const transport = createConnectTransport({ ...options, defaultTimeoutMs: 30_000 });
/** Without a deadline, because streams last. */
const streaming = createConnectTransport(options);

export const users = createClient(UserService, transport);
export const events = createClient(EventService, transport);
export const eventStreams = createClient(EventService, streaming);
export const sessions = createClient(SessionService, transport);
export const settings = createClient(SettingsService, transport);
export const access = createClient(AccessService, transport);

/** The reason of an error (google.rpc.ErrorInfo), such as USER_ALREADY_LOCKED. Empty without one. */
export function reasonOf(error: unknown): string {
  return ConnectError.from(error).findDetails(ErrorInfoSchema)[0]?.reason ?? "";
}

/** Whether the call was refused because the session has ended. The page then shows the login. */
export function isLoggedOut(error: unknown): boolean {
  return ConnectError.from(error).code === Code.Unauthenticated;
}

/** The server's sentence about an error. */
export function sentenceOf(error: unknown): string {
  return ConnectError.from(error).rawMessage;
}

/**
 * The published entry: clients of all services, and the messages and enums of the contract.
 *
 *     const userlock = createUserlock({ url, token });
 *     await userlock.users.lockUser({ id: "alice", reason: "fraud" });
 */
export { Code } from "@connectrpc/connect";
export * from "../../../gen/userlock/v3alpha/access_service_pb.ts";
export * from "../../../gen/userlock/v3alpha/authz_service_pb.ts";
export * from "../../../gen/userlock/v3alpha/event_service_pb.ts";
export * from "../../../gen/userlock/v3alpha/session_service_pb.ts";
export * from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
export * from "../../../gen/userlock/v3alpha/user_service_pb.ts";
export { createUserlock, type Userlock, type UserlockOptions } from "./client.ts";
export type { ConnectionOptions } from "./connection.ts";
export { hasReason, UserlockError } from "./errors.ts";
export type { TlsOptions } from "./http.ts";
export type { RetryOptions } from "./retry.ts";

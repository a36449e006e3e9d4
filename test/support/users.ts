import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { type State, UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { ADMIN_TOKEN } from "./server-process.ts";

/** What a test of one client needs done on a server without that client. */
export function usersOf(url: string) {
  const client = createClient(UserService, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
  let users = 0;
  return {
    /** A new user's id. */
    async add(data?: Record<string, string>): Promise<string> {
      const userId = `u${++users}`;
      await client.createUser({ user: { userId, ...(data && { data }) } }, { headers });
      return userId;
    },
    async stateOf(id: string): Promise<State | undefined> {
      return (await client.getUser({ id }, { headers })).user?.state;
    },
  };
}

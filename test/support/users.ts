import { readFileSync } from "node:fs";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { type State, UserService } from "../../gen/userlock/v3alpha/user_service_pb.ts";
import { ADMIN_TOKEN } from "./servers/server-process.ts";

/** Set-up calls for tests of a client, made without that client. `caFile` is for a server with TLS. */
export function usersOf(url: string, caFile?: string) {
  const nodeOptions = caFile === undefined ? {} : { ca: readFileSync(caFile) };
  const client = createClient(UserService, createConnectTransport({ baseUrl: url, httpVersion: "1.1", nodeOptions }));
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
  return {
    /** Creates a user and returns the id. */
    async add(data?: Record<string, string>): Promise<string> {
      const { details } = await client.createUser({ user: data ? { data } : {} }, { headers });
      return details?.id as string;
    },
    async stateOf(id: string): Promise<State | undefined> {
      return (await client.getUser({ id }, { headers })).user?.state;
    },
  };
}

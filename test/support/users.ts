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

/** Creates a user over REST and locks the user. A second lock must be refused. */
export async function lockOverRest(url: string, token: string): Promise<void> {
  const call = async (path: string, body: object) => {
    const response = await fetch(`${url}/resources/v3alpha/users${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const { details } = (await response.json()) as { details: { id: string } | { reason: string }[] };
    return [response.status, Array.isArray(details) ? details[0]?.reason : details.id];
  };
  expect(await call("", { userId: "mallory" })).toEqual([201, "mallory"]);
  expect(await call("/mallory/_lock", { reason: "fraud" })).toEqual([200, "mallory"]);
  expect(await call("/mallory/_lock", {})).toEqual([400, "USER_ALREADY_LOCKED"]);
}

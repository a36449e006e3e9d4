import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { AccessService, Role } from "../../gen/userlock/v3alpha/access_service_pb.ts";

/** Returns a function that creates tokens on a server as its instance owner. */
export function tokenMaker(url: string, owner: string) {
  const client = createClient(AccessService, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));
  const headers = { authorization: `Bearer ${owner}` };
  return {
    async create(subject: string, ...grants: [role: keyof typeof Role, organizationId?: string][]) {
      const response = await client.createToken(
        {
          subject,
          grants: grants.map(([role, organizationId]) => ({
            role: Role[role],
            ...(organizationId !== undefined && { organizationId }),
          })),
        },
        { headers },
      );
      return { id: response.details?.id ?? "", secret: response.token };
    },
    async createExpiring(subject: string, milliseconds: number) {
      const at = Date.now() + milliseconds;
      const expires = { seconds: BigInt(Math.floor(at / 1000)), nanos: (at % 1000) * 1e6 };
      return (await client.createToken({ subject, grants: [{ role: Role.INSTANCE_OWNER }], expires }, { headers }))
        .token;
    },
    async revoke(tokenId: string) {
      await client.revokeToken({ tokenId }, { headers });
    },
  };
}

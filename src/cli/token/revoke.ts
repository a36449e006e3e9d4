import { AccessService } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { clientOf } from "../client.ts";
import { command } from "../frame/command.ts";
import { EX_OK } from "../frame/errors.ts";

export const tokenRevoke = command({
  summary: "End a token: the next call with it is refused",
  argument: "TOKEN_ID",
  options: {},
  example: "token revoke 01J5Z3N8Q4T7V0X2Y6A9B1C3D5",
  async run(_values, [tokenId], { env, stderr }) {
    await clientOf(AccessService, env).revokeToken({ tokenId: tokenId as string });
    stderr.write(`revoked ${tokenId}\n`);
    return EX_OK;
  },
});

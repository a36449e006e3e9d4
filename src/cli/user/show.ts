import { toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { SessionService } from "../../../gen/userlock/v3alpha/session_service_pb.ts";
import { GetUserSchema, UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { clientOf } from "../client.ts";
import { command, type Environment } from "../frame/command.ts";
import { EX_OK } from "../frame/errors.ts";
import { OUTPUT, printFacts, printJson } from "../output.ts";
import { factsOf } from "./describe.ts";

export const userShow = command({
  summary: "Show a user: lifecycle, lock, names, contact and number of sessions",
  argument: "ID",
  options: OUTPUT,
  example: "user show alice",
  async run({ output }, [id = ""], around) {
    const { user } = await clientOf(UserService, around.env).getUser({ id });
    if (!user) return EX_OK;
    if (output === "json") printJson(toJsonString(GetUserSchema, user), around);
    else printFacts(factsOf(user, await sessionsOf(id, around.env)), around);
    return EX_OK;
  },
});

/** How many open sessions the user has; undefined for a caller who may not see them. */
async function sessionsOf(id: string, env: Environment): Promise<bigint | undefined> {
  try {
    const { details } = await clientOf(SessionService, env).listSessions({ id, query: { limit: 1 } });
    return details?.totalResult;
  } catch (error) {
    if (ConnectError.from(error).code === Code.PermissionDenied) return undefined;
    throw error;
  }
}

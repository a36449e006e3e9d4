import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { clientOf } from "../client.ts";
import { command } from "../frame/command.ts";
import { EX_OK, UsageError } from "../frame/errors.ts";
import { flag, text } from "../frame/options.ts";
import { confirm } from "../frame/run.ts";
import { organization as inOrganization } from "../request.ts";

export const userDelete = command({
  summary: "Delete a user for good; the id can never be used again",
  argument: "ID",
  options: {
    organization: text("ID", "where the user is expected"),
    yes: flag("do not ask first"),
  },
  example: "user delete alice --yes",
  async run({ organization, yes }, [id = ""], around) {
    if (!yes && !around.isInteractive) throw new UsageError("add --yes: nobody can confirm without a terminal");
    const client = clientOf(UserService, around.env);
    if (!yes) await confirm(`Delete ${id} for good?`, around);
    await client.deleteUser({ id, ...inOrganization(organization) });
    around.stderr.write(`deleted ${id}\n`);
    return EX_OK;
  },
});

import { SettingsService } from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import { clientOf } from "../client.ts";
import { command } from "../frame/command.ts";
import { EX_OK } from "../frame/errors.ts";
import { text } from "../frame/options.ts";
import { organization as inOrganization } from "../request.ts";
import { placeOf } from "./set.ts";

export const policyReset = command({
  summary: "Take the lockout policy away; all of it is inherited again",
  options: { organization: text("ID", "the organization; default: the instance") },
  example: "policy reset --organization acme",
  async run({ organization }, _args, { env, stderr }) {
    await clientOf(SettingsService, env).resetLockoutPolicy(inOrganization(organization));
    stderr.write(`reset the policy of ${placeOf(organization)}\n`);
    return EX_OK;
  },
});

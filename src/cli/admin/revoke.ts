import { command } from "../frame/command.ts";
import { EX_OK } from "../frame/errors.ts";
import { checkId } from "../ids.ts";

export const adminRevoke = command({
  summary: "Revoke all tokens of a subject",
  argument: "SUBJECT",
  options: {},
  example: "admin revoke break-glass",
  async run(_values, args, { host, env, stderr }) {
    const subject = checkId(args[0] as string);
    let revoked = 0;
    await host.withStore(env, async ({ revokeTokens }) => {
      revoked = await revokeTokens(subject);
    });
    stderr.write(`revoked ${revoked} ${revoked === 1 ? "token" : "tokens"} of ${subject}\n`);
    return EX_OK;
  },
});

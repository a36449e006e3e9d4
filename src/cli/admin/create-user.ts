import { command } from "../frame/command.ts";
import { EX_OK } from "../frame/errors.ts";
import { checkId } from "../ids.ts";

export const adminCreateUser = command({
  summary: "Create a break-glass account, beyond the reach of every role",
  argument: "ID",
  options: {},
  example: "admin create-user break-glass",
  async run(_values, args, { host, env, stderr }) {
    const id = checkId(args[0] as string);
    await host.withStore(env, ({ createUser }) => createUser(id));
    stderr.write(`created ${id}; give it a token with: userlock admin token --subject ${id}\n`);
    return EX_OK;
  },
});

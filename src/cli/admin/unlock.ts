import { command } from "../frame/command.ts";
import { EX_OK } from "../frame/errors.ts";
import { checkId } from "../ids.ts";

export const adminUnlock = command({
  summary: "Unlock a user in the store itself",
  argument: "ID",
  options: {},
  example: "admin unlock alice",
  async run(_values, args, { host, env, stderr }) {
    const id = checkId(args[0] as string);
    await host.withStore(env, ({ unlock }) => unlock(id));
    stderr.write(`unlocked ${id}\n`);
    return EX_OK;
  },
});

import { command } from "../frame/command.ts";
import { EX_OK } from "../frame/errors.ts";
import { flag, required } from "../frame/options.ts";
import { createTable, OUTPUT, printJson } from "../output.ts";

const HEADS = ["ID", "CAUSE", "REASON", "LOCKED BY", "SINCE", "UNTIL"];

export const adminList = command({
  summary: "List the locked users of the store",
  options: { locked: required(flag("only locked users; there is no other list")), ...OUTPUT },
  example: "admin list --locked",
  async run({ output }, _args, { host, ...around }) {
    await host.withStore(around.env, async ({ locked }) => {
      const table = createTable(HEADS, around);
      if (output !== "json") table.print([]);
      for await (const { id, lock } of locked()) {
        const since = isoTimeOf(lock.since);
        const until = lock.until === undefined ? undefined : isoTimeOf(lock.until);
        if (output === "json") printJson(JSON.stringify({ id, ...lock, since, until }), around);
        else table.print([[id, lock.cause, lock.reason, lock.by, since, until ?? "no end"]]);
      }
    });
    return EX_OK;
  },
});

const isoTimeOf = (micros: number) => new Date(micros / 1_000).toISOString();

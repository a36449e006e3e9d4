import { command } from "../frame/command.ts";
import { EX_OK } from "../frame/errors.ts";
import { flag } from "../frame/options.ts";
import { confirm } from "../frame/run.ts";

const CONSEQUENCES = `Device tokens of the old key are void, so known devices count as strangers until their next login.
Answers kept under an Idempotency-Key are lost: a call repeated with its key is made again.
Wrong passwords given before count again. Tokens, sessions and passwords stay as they are.
`;

export const adminResetKey = command({
  summary: "Forget the key of the store after it was lost; the next server sets a new one",
  options: { yes: flag("do not ask first") },
  example: "admin reset-key",
  async run({ yes }, _args, around) {
    if (!yes && around.isInteractive) {
      around.stderr.write(CONSEQUENCES);
      await confirm("Forget the key of this store?", around);
    }
    await around.host.withStore(around.env, ({ resetKey }) => resetKey());
    const next = "The key is forgotten. Stop all servers, then start them with one new key.\n";
    around.stdout.write(yes || !around.isInteractive ? next + CONSEQUENCES : next);
    return EX_OK;
  },
});

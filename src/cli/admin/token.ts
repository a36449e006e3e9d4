import { command } from "../frame/command.ts";
import { EX_OK } from "../frame/errors.ts";
import { duration, text } from "../frame/options.ts";
import { checkId } from "../ids.ts";

export const adminToken = command({
  summary: "Make a token of an INSTANCE_OWNER and print its secret, this once",
  options: {
    subject: text("SUBJECT", "who holds the token; default: admin"),
    expires: duration("TIME", "when it ends by itself, such as 1h; default: never"),
  },
  example: "admin token --expires 1h",
  async run({ subject = "admin", expires }, _args, { host, env, stdout }) {
    checkId(subject);
    await host.withStore(env, async ({ createToken }) => {
      stdout.write(`${await createToken(subject, expires)}\n`);
    });
    return EX_OK;
  },
});

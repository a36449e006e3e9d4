import { command } from "../frame/command.ts";
import { CommandFailed, EX_CONFIG, EX_OK } from "../frame/errors.ts";
import { text } from "../frame/options.ts";
import { checkId } from "../ids.ts";

export const consoleCommand = command({
  summary: "Print a link that opens the console, logged in, once within 60 seconds",
  options: {
    subject: text("SUBJECT", "who is logged in, as an INSTANCE_OWNER; default: admin"),
    url: text("URL", "the server as the browser reaches it; default: as the settings say"),
  },
  example: "console",
  async run({ subject = "admin", url }, _args, { host, env, stdout, stderr }) {
    checkId(subject);
    const address = host.consoleAddress(env);
    if (address === undefined) throw new CommandFailed("The console is off: USERLOCK_CONSOLE.", EX_CONFIG);
    await host.withStore(env, async ({ createConsoleCode }) => {
      const code = await createConsoleCode(subject);
      // Browsers send no fragment to a server or a proxy, so it is in no log.
      stdout.write(`${(url ?? address).replace(/\/+$/, "")}/console/#code=${code}\n`);
    });
    stderr.write("The link works once, within 60 seconds.\n");
    return EX_OK;
  },
});

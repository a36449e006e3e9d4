import { command } from "../frame/command.ts";
import { EX_OK } from "../frame/errors.ts";

export const demo = command({
  summary: "Show the API on a server that keeps nothing",
  options: {},
  example: "demo",
  async run(_values, _args, around) {
    const [{ runDemo }, { runLoginDemo }] = await Promise.all([
      import("../demo/protocols.ts"),
      import("../demo/logins.ts"),
    ]);
    const print = (line: string) => void around.stdout.write(`${line}\n`);
    await around.host.withDemoServer(async (url, token) => {
      await runDemo(url, token, print);
      await runLoginDemo(url, token, print);
    });
    print("\nDone. `npm start` serves; README.md has the rest.");
    return EX_OK;
  },
});

import { command } from "../frame/command.ts";
import { EX_OK } from "../frame/errors.ts";
import { createTable, OUTPUT, printJson } from "../output.ts";

export const config = command({
  summary: "Show the settings that a server here would have, without secrets",
  options: OUTPUT,
  example: "config",
  async run({ output }, _args, around) {
    const settings = around.host.describeSettings(around.env);
    if (output === "json") for (const setting of settings) printJson(JSON.stringify(setting), around);
    else
      createTable(["SETTING", "VALUE", "FROM"], around).print(
        settings.map(({ name, value, from }) => [name, value, from]),
      );
    return EX_OK;
  },
});

import { command } from "../frame/command.ts";

export const serve = command({
  summary: "Serve, with the settings of the environment",
  options: {},
  example: "serve",
  outlivesOutput: true,
  run: (_values, _args, around) => around.host.serve(around),
});

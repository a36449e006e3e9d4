import { setTimeout as sleep } from "node:timers/promises";
import { command } from "../frame/command.ts";
import { CommandFailed, EX_OK, EX_UNAVAILABLE } from "../frame/errors.ts";
import { duration } from "../frame/options.ts";

/** The time between two checks, milliseconds. */
const PAUSE_MS = 100;

export const check = command({
  summary: "Check that the server of these settings is ready, for probes of containers and services",
  options: { wait: duration("DURATION", "check again until it is ready, for at most this long, such as 10s") },
  example: "check --wait 10s",
  async run({ wait = 0 }, _args, { env, host, stdout }) {
    const end = performance.now() + wait / 1_000;
    for (;;) {
      const { address, state } = await host.checkServer(env);
      if (state === "ready") {
        stdout.write(`${address} is ready\n`);
        return EX_OK;
      }
      if (performance.now() + PAUSE_MS > end) {
        throw new CommandFailed(`userlock: ${address} is not ready: ${state}`, EX_UNAVAILABLE);
      }
      await sleep(PAUSE_MS);
    }
  },
});

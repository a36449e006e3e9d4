import { addressOf } from "../client.ts";
import { command, type Surroundings } from "../frame/command.ts";
import { runBulk } from "./bulk.ts";
import { type Job, LOCK_OPTIONS, readJob, UNLOCK_OPTIONS } from "./options.ts";

export const lock = command({
  summary: "Lock users: by ids, from a list, or all that match filters",
  argument: "[ID…]",
  options: LOCK_OPTIONS,
  example: "lock --email-contains @evil.example --reason wave-7 --duration 12h --dry-run",
  outlivesOutput: true,
  run: (values, ids, around) => runJob(readJob("lock", values, ids, addressOf(around.env)), around),
});

export const unlock = command({
  summary: "Unlock users: by ids, from a list, or all that match filters",
  argument: "[ID…]",
  options: UNLOCK_OPTIONS,
  example: "unlock --lock-reason wave-7",
  outlivesOutput: true,
  run: (values, ids, around) => runJob(readJob("unlock", values, ids, addressOf(around.env)), around),
});

function runJob(job: Job, around: Surroundings): Promise<number> {
  return around.untilSignal((stop) => runBulk(job, { ...around, stop }));
}

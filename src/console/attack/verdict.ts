import type { Summary } from "./summary.ts";

/** "attack": act now. "raised": look closer. "quiet": nothing unusual. */
export type Level = "attack" | "raised" | "quiet";

/** Wrong passwords locked this many users in the recent minutes. One or two forgot theirs. */
const MANY_LOCKED = 3;
/** As many failures in the recent minutes are worth a look. */
const SOME_FAILURES = 10;
/** From so many failures in the recent minutes on, a multiple of the usual number is an attack. */
const MANY_FAILURES = 30;
const TIMES_USUAL = 4;
/** A network that fails for so many users tries passwords of others. */
const MANY_USERS = 5;

/** Whether the last hour looks like an attack. */
export function verdictOf({ recent, standing, networks }: Summary): Level {
  const { failures, usual, lockedUsers } = recent;
  const isSpike = failures >= MANY_FAILURES && (usual === undefined || failures >= TIMES_USUAL * usual);
  // If the login page does not pass the address of its users on, all failures have one network.
  const isSpray = networks.length > 1 && recent.networks.some(({ users }) => users >= MANY_USERS);
  if (lockedUsers >= MANY_LOCKED || isSpike || isSpray) return "attack";
  // Logins of locked users leave no events, so that an attack on them looks like silence.
  return failures >= SOME_FAILURES || lockedUsers > 0 || standing > 0 ? "raised" : "quiet";
}

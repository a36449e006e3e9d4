import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { LockoutPolicySchema, SettingsService } from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import { clientOf } from "../client.ts";
import { command } from "../frame/command.ts";
import { EX_OK, UsageError } from "../frame/errors.ts";
import { duration, number, text, word } from "../frame/options.ts";
import { organization as inOrganization } from "../request.ts";

const YES_OR_NO = ["yes", "no"] as const;

export const policySet = command({
  summary: "Replace the lockout policy; values that are not given are inherited",
  options: {
    "max-attempts": number("N", "wrong passwords within the window that lock; 0: they never lock", 99),
    window: duration("TIME", "how long a wrong password counts, such as 15m"),
    "lock-duration": duration("TIME", "length of the first lock; it doubles with each further lock"),
    "max-lock-duration": duration("TIME", "the longest lock; 0: locks last until an unlock", {
      allowsZero: true,
    }),
    "known-devices-pass": word("yes|no", "whether known devices get in during an automatic lock", YES_OR_NO),
    "reveal-lock": word("yes|no", "if a locked user with the right password is told of the lock", YES_OR_NO),
    organization: text("ID", "the organization; default: the instance"),
  },
  example: "policy set --max-attempts 3 --lock-duration 5m --organization acme",
  async run(values, _args, { env, stderr }) {
    const { organization, ...given } = values;
    if (Object.values(given).every((value) => value === undefined)) {
      throw new UsageError("give at least one value; policy reset takes the policy away");
    }
    const length = (micros: number | undefined) => (micros === undefined ? undefined : durationFromMs(micros / 1_000));
    const policy = {
      maxAttempts: given["max-attempts"],
      window: length(given.window),
      lockDuration: length(given["lock-duration"]),
      maxLockDuration: length(given["max-lock-duration"]),
      knownDevicesPass: isYes(given["known-devices-pass"]),
      revealLock: isYes(given["reveal-lock"]),
    };
    const set = Object.fromEntries(Object.entries(policy).filter(([, value]) => value !== undefined));
    await clientOf(SettingsService, env).setLockoutPolicy({
      ...inOrganization(organization),
      policy: create(LockoutPolicySchema, set),
    });
    stderr.write(`set the policy of ${placeOf(organization)}\n`);
    return EX_OK;
  },
});

function isYes(answer: "yes" | "no" | undefined): boolean | undefined {
  return answer === undefined ? undefined : answer === "yes";
}

/** The owner of the policy, for messages. */
export function placeOf(organization: string | undefined): string {
  return organization === undefined ? "the instance" : `the organization ${organization}`;
}

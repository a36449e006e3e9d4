import { isFieldSet, toJsonString } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  GetLockoutPolicyResponseSchema,
  type LockoutPolicy,
  LockoutPolicySchema,
  SettingsService,
} from "../../../gen/userlock/v3alpha/settings_service_pb.ts";
import { clientOf } from "../client.ts";
import { command } from "../frame/command.ts";
import { EX_OK } from "../frame/errors.ts";
import { text } from "../frame/options.ts";
import { OUTPUT, printFacts, printJson } from "../output.ts";
import { organization as inOrganization } from "../request.ts";

export const policyShow = command({
  summary: "Show when wrong passwords lock a user, and for how long",
  options: { organization: text("ID", "the organization; default: the instance"), ...OUTPUT },
  example: "policy show --organization acme",
  async run({ organization, output }, _args, around) {
    const answer = await clientOf(SettingsService, around.env).getLockoutPolicy(inOrganization(organization));
    const { policy, own } = answer;
    if (output === "json") {
      printJson(toJsonString(GetLockoutPolicyResponseSchema, answer), around);
      return EX_OK;
    }
    const yesOrNo = (value: boolean | undefined) => (value ? "yes" : "no");
    printFacts(
      [
        ["max attempts", policy?.maxAttempts === 0 ? "0: wrong passwords do not lock" : String(policy?.maxAttempts)],
        ["window", lengthOf(policy?.window)],
        ["lock duration", lengthOf(policy?.lockDuration)],
        ["max lock duration", lengthOf(policy?.maxLockDuration) || "none: locks last until an unlock"],
        ["known devices pass", yesOrNo(policy?.knownDevicesPass)],
        ["reveal lock", yesOrNo(policy?.revealLock)],
        ["set here", own ? namesOf(own) : "nothing, all is inherited"],
      ],
      around,
    );
    return EX_OK;
  },
});

/** The names of the fields that are set, as the list has them. */
function namesOf(policy: LockoutPolicy): string {
  const names = LockoutPolicySchema.fields
    .filter((field) => isFieldSet(policy, field))
    .map(({ name }) => name.replaceAll("_", " "));
  return names.join(", ") || "an empty policy, all is inherited";
}

const UNITS = { w: 604_800, d: 86_400, h: 3_600, m: 60, s: 1 };

/** A length in the largest unit that goes into it, such as `15m`; empty for none. */
export function lengthOf(duration: Duration | undefined): string {
  const seconds = Number(duration?.seconds ?? 0n) + (duration?.nanos ?? 0) / 1e9;
  const found = Object.entries(UNITS).find(([, size]) => seconds > 0 && seconds % size === 0);
  return found ? `${seconds / found[1]}${found[0]}` : seconds > 0 ? `${seconds}s` : "";
}

import { createRegistry } from "@bufbuild/protobuf";
import { createValidator, type Validator } from "@bufbuild/protovalidate";
import { file_userlock_v3alpha_options } from "../../gen/userlock/v3alpha/options_pb.ts";

/**
 * Creates a validator for the contract's rules. JavaScript's regular expressions take a tenth of the time of the
 * library's RE2. Tests check that every pattern means the same in both and takes linear time.
 */
export function createRequestValidator(): Validator {
  const patterns = new Map<string, RegExp>();
  function regexMatch(pattern: string, text: string): boolean {
    let known = patterns.get(pattern);
    if (!known) {
      known = new RegExp(pattern, "u");
      patterns.set(pattern, known);
    }
    return known.test(text);
  }
  return createValidator({ registry: createRegistry(file_userlock_v3alpha_options), regexMatch });
}

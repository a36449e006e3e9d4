import { USERLOCK } from "../../domain/identifier.ts";
import type { Caller } from "../execute.ts";

/** Who may do everything, to everybody: userlock itself, or an operator who has access to the store. */
export function systemCaller(subject = USERLOCK, signal = AbortSignal.any([])): Caller {
  return { principal: { subject, grants: [], isSystem: true }, actor: { subject }, signal };
}

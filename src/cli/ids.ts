import { IDENTIFIER_RULE, isIdentifier } from "../domain/identifier.ts";
import { UsageError } from "./frame/errors.ts";

/** What is wrong with a text that cannot be an id. */
export function notAnId(text: string): string {
  return `${JSON.stringify(text)} cannot be an id; use ${IDENTIFIER_RULE}`;
}

/** The id itself. Throws UsageError if the text cannot be one. */
export function checkId(text: string): string {
  if (!isIdentifier(text)) throw new UsageError(notAnId(text));
  return text;
}

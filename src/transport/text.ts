import { refusal } from "../rpc/errors.ts";

const strict = new TextDecoder("utf-8", { fatal: true });

/**
 * Decodes UTF-8. Throws INVALID_REQUEST for other bytes: lenient decoders replace each by U+FFFD, which would make
 * different passwords equal.
 */
export function decodeText(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    throw refusal("INVALID_REQUEST", "The body is not UTF-8.");
  }
}

/** Parses a query or form (application/x-www-form-urlencoded). Throws INVALID_REQUEST for escapes not in UTF-8. */
export function parseForm(form: string): URLSearchParams {
  try {
    decodeURIComponent(form);
  } catch {
    throw refusal("INVALID_REQUEST", 'An escape is not UTF-8. Write "%" as "%25", and other characters in UTF-8.');
  }
  return new URLSearchParams(form);
}

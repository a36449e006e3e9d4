import { refusal } from "../rpc/errors.ts";

const strict = new TextDecoder("utf-8", { fatal: true });

/**
 * The text of bytes in UTF-8. Throws INVALID_REQUEST for other bytes: lenient readers put U+FFFD in the place of each,
 * so that one password would be as good as another.
 */
export function decodeText(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    throw refusal("INVALID_REQUEST", "The body is not UTF-8.");
  }
}

/** A query, or a form of application/x-www-form-urlencoded. Throws INVALID_REQUEST for escapes that are not UTF-8. */
export function parseForm(form: string): URLSearchParams {
  try {
    decodeURIComponent(form);
  } catch {
    throw refusal("INVALID_REQUEST", 'An escape is not UTF-8. Write "%" as "%25", and other characters in UTF-8.');
  }
  return new URLSearchParams(form);
}

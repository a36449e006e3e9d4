/** Control characters, and characters that are invisible or change the direction of a text. */
const STEERING = /[\p{Cc}\u200B\u2028-\u202E\u2060-\u2069\uFEFF]/gu;

/** A line of text that cannot steer the terminal: each such character becomes a space. */
export function printable(text: string): string {
  return text.replaceAll(STEERING, " ");
}

/** The same, where the text may have several lines. */
export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

/** JSON in which such characters are escapes. JSON.stringify leaves some of them as they are. */
export function printableJson(json: string): string {
  return json.replaceAll(STEERING, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

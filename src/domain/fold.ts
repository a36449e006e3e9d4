/**
 * The text as it is compared where case does not count: for claims of user names, logins and searches alike. Texts that
 * differ only in case (also "ß" and "SS", and the Greek final sigma) or in compatibility form (NFC, NFD, NFKC, NFKD) are
 * folded to the same. It is Unicode's caseless matching (section 3.13, D146) by the mappings that JavaScript has.
 */
export function fold(text: string): string {
  // Lower case first, because "ẞ" has no upper case but itself. What that takes apart is composed at the end.
  const lower = text.normalize("NFKC").toLowerCase().toUpperCase().toLowerCase();
  return lower.replaceAll("ς", "σ").normalize("NFKC");
}

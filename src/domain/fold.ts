/**
 * Folds a text for comparisons that ignore case: claims of user names, logins and searches. Texts that differ only in
 * case (also "ß" and "SS", and the Greek final sigma) or in compatibility form (NFC, NFD, NFKC, NFKD) fold to the same
 * text. It follows Unicode's caseless matching (section 3.13, D146), with JavaScript's case mappings.
 */
export function fold(text: string): string {
  // Lower case first, because "ẞ" has no other upper case. The last step composes what the case mappings decompose.
  const lower = text.normalize("NFKC").toLowerCase().toUpperCase().toLowerCase();
  return lower.replaceAll("ς", "σ").normalize("NFKC");
}

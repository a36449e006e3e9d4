import { distance } from "../../nearest.ts";

/** The candidate that begins with a word, or is nearest to it; undefined if no candidate is near. */
function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const ranked = [...candidates]
    .map((candidate) => ({ candidate, far: word && candidate.startsWith(word) ? 1 : distance(word, candidate) }))
    .filter(({ far }) => far < Number.POSITIVE_INFINITY)
    .sort((a, b) => a.far - b.far);
  return ranked[0]?.candidate;
}

/** Such as `; did you mean lock?`, or nothing. */
export function suggestion(word: string, candidates: Iterable<string>): string {
  const found = nearest(word, candidates);
  return found === undefined ? "" : `; did you mean ${found}?`;
}

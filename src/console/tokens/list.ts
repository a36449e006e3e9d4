import { batch, signal } from "@preact/signals";
import type { Token } from "../../../gen/userlock/v3alpha/access_service_pb.ts";
import { access, isLoggedOut } from "../core/api.ts";

/** The number of tokens of a page. */
export const PAGE = 50;

/** What the list asks for, as its address has it. */
export interface Question {
  subject: string;
  offset: number;
}

/** The page of tokens that is shown. */
export const page = signal<{ tokens: readonly Token[]; total: number } | undefined>(undefined);
export const failure = signal<unknown>(undefined);

let running = new AbortController();

/** Reads the question from the query of an address. */
export function questionOf({ searchParams }: URL): Question {
  const offset = Number(searchParams.get("from") ?? 0);
  return {
    subject: searchParams.get("subject") ?? "",
    offset: Number.isSafeInteger(offset) && offset > 0 ? offset : 0,
  };
}

/** Loads the page of a question, newest first. A newer question replaces an older one. */
export async function load({ subject, offset }: Question): Promise<void> {
  running.abort();
  running = new AbortController();
  const { signal: gone } = running;
  try {
    const { result, details } = await access.listTokens(
      { query: { offset: BigInt(offset), limit: PAGE, desc: true }, ...(subject !== "" && { subject }) },
      { signal: gone },
    );
    if (gone.aborted) return;
    batch(() => {
      page.value = { tokens: result, total: Number(details?.totalResult ?? 0) };
      failure.value = undefined;
    });
  } catch (error) {
    if (!gone.aborted && !isLoggedOut(error)) failure.value = error;
  }
}
